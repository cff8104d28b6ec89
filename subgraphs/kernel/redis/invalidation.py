"""Invalidation of in-process caches: a writer publishes a change, and every process receives it.

    await invalidation.publish(Change("session", session_id))       # after the commit
    async with invalidation.subscribed(cache.invalidate): ...        # receives every change

A writer may die between its commit and `publish`, so a cache must also expire its entries.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple, get_args
from uuid import UUID

import structlog
from redis.asyncio.client import PubSub

from subgraphs.kernel import cancellation, redis
from subgraphs.kernel.config import settings

log = structlog.stdlib.get_logger(__name__)

_CHANNEL = "changed"
_POLL_SECONDS = 5.0
_RECONNECT_SECONDS = 0.2

Kind = Literal["session", "user", "site"]


class Change(NamedTuple):
    """A session that ended, a user whose memberships changed, or a site whose limits changed."""

    kind: Kind
    id: UUID


Invalidate = Callable[[Change | None], None]
"""Invalidates what a change affects; everything for None, after messages may have been missed."""


async def publish(*changes: Change) -> None:
    """Publishes changes to all processes. An unavailable Redis is logged, not raised."""
    try:
        async with redis.client().pipeline(transaction=False) as pipe:
            for change in changes:
                pipe.publish(_CHANNEL, f"{change.kind}:{change.id}")
            await pipe.execute()
    except Exception as error:  # the change is committed and must not seem to fail
        log.warning("invalidation_not_published", changes=str(changes), error=repr(error))


@asynccontextmanager
async def subscribed(*caches: Invalidate) -> AsyncIterator[None]:
    """Calls each cache with every change until the block ends, and with None after each gap."""
    subscription = asyncio.create_task(_receive(caches))
    try:
        yield
    finally:
        await cancellation.cancel_and_wait(subscription)


async def _receive(caches: tuple[Invalidate, ...]) -> None:
    while True:
        client = redis.connect(settings().redis_url)
        try:
            # Each connection is used until it breaks: redis-py's own reconnect would hide a gap.
            async with client.pubsub() as pubsub:
                await _receive_from(pubsub, caches)
        except Exception as error:  # any: the next turn makes a new connection
            log.warning("invalidation_subscription_broken", error=repr(error))
        finally:
            await client.aclose()
        await asyncio.sleep(_RECONNECT_SECONDS)


async def _receive_from(pubsub: PubSub, caches: tuple[Invalidate, ...]) -> None:
    await pubsub.subscribe(_CHANNEL)
    while True:
        message = await pubsub.get_message(timeout=_POLL_SECONDS)
        if message is None:
            await pubsub.ping()  # detects a half-open connection, which would stay silent for ever
        elif message["type"] in ("subscribe", "message"):
            change = _decode(message["data"]) if message["type"] == "message" else None
            for invalidate in caches:
                invalidate(change)


def _decode(data: bytes) -> Change | None:
    """Returns the change, or None for a message that cannot be decoded: it may mean anything."""
    kind, _, id_ = data.decode(errors="replace").partition(":")
    try:
        known: Kind = next(name for name in get_args(Kind) if name == kind)
        return Change(known, UUID(id_))
    except (StopIteration, ValueError):
        log.warning("invalidation_message_not_understood", data=repr(data))
        return None
