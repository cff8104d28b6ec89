"""Joins a consumer group of Kafka and passes its rebalances on."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

SESSION_SECONDS = 6.0
"""Time without a heartbeat after which a member is dead; brokers allow no less by default."""

HEARTBEAT_SECONDS = 0.5
"""Time between heartbeats; a member learns of a rebalance from a heartbeat's reply."""

_REBALANCE_SECONDS = 30.0
"""Time that the group waits for a member that still has entries in flight."""

_MAX_BATCH_SECONDS = 24 * 3600
"""Time for a batch: long, so that an unavailable store costs no member its partitions."""

_FETCH_WAIT_MS = 250


def group_client(
    servers: str,
    topic: str,
    group: str,
    *,
    on_revoked: Callable[[], Awaitable[None]],
    on_assigned: Callable[[Iterable[int]], Awaitable[None]],
) -> Any:
    """Returns an unstarted aiokafka consumer that joins the group when it starts.

    Args:
        on_revoked: called before partitions are assigned to other members.
        on_assigned: called with the partitions assigned to this member.
    """
    client = AIOKafkaConsumer(
        bootstrap_servers=servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=round(SESSION_SECONDS * 1000),
        heartbeat_interval_ms=round(HEARTBEAT_SECONDS * 1000),
        rebalance_timeout_ms=round(_REBALANCE_SECONDS * 1000),
        max_poll_interval_ms=_MAX_BATCH_SECONDS * 1000,
        fetch_max_wait_ms=_FETCH_WAIT_MS,
    )
    client.subscribe([topic], listener=_Listener(on_revoked, on_assigned))
    return client


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(
        self,
        on_revoked: Callable[[], Awaitable[None]],
        on_assigned: Callable[[Iterable[int]], Awaitable[None]],
    ) -> None:
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            await self._on_revoked()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        await self._on_assigned(tp.partition for tp in assigned)
