"""Group commit: one statement and one commit for the webhooks that arrive together.

A lone webhook is stored at the end of the current turn of the event loop. While a group is being
stored, the next one gathers, so the groups grow with the load.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import structlog

from subgraphs.integrations.inbox.fair_queue import FairQueue
from subgraphs.integrations.inbox.store import NewWebhook
from subgraphs.kernel.retry import is_store_fault

log = structlog.stdlib.get_logger(__name__)

MAX_GROUP = 500
"""Webhooks of one statement: above it, a group's fixed costs are below a tenth."""

MAX_GROUP_BYTES = 4_000_000
"""A group ends with the webhook that reaches this size, so that no statement takes long."""

Insert = Callable[[Sequence[NewWebhook]], Awaitable[set[UUID]]]


class _Waiting:
    __slots__ = ("result", "webhook")

    def __init__(self, webhook: NewWebhook, result: "asyncio.Future[bool]") -> None:
        self.webhook = webhook
        self.result = result

    def complete(self, outcome: bool | Exception) -> None:
        if self.result.done():  # the request has given up
            return
        if isinstance(outcome, Exception):
            self.result.set_exception(outcome)
        else:
            self.result.set_result(outcome)


class GroupCommit:
    """Stores webhooks by groups; create it within the event loop that uses it.

    Args:
        insert: stores a group in one transaction; returns the ids that were new.
        stored: is called after a group with new webhooks that wait for processing.
        seconds: how long one statement may take.
    """

    def __init__(self, insert: Insert, stored: Callable[[], None], *, seconds: float) -> None:
        self._insert = insert
        self._stored = stored
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._queue: FairQueue[_Waiting] = FairQueue()
        self._storing: asyncio.Task[None] | None = None

    def store(self, webhook: NewWebhook) -> "asyncio.Future[bool]":
        """Returns whether the webhook was new, once it is stored."""
        result: asyncio.Future[bool] = self._loop.create_future()
        self._queue.put(webhook.site_id, _Waiting(webhook, result), len(webhook.body))
        if self._storing is None:
            self._storing = self._loop.create_task(self._store_all())
        return result

    async def _store_all(self) -> None:
        while self._queue:
            group = self._queue.take(MAX_GROUP, MAX_GROUP_BYTES)
            await self._store([waiting for waiting in group if not waiting.result.done()])
        self._storing = None

    async def _store(self, group: list[_Waiting]) -> None:
        if not group:
            return
        try:
            async with asyncio.timeout(self._seconds):
                new = await self._insert([waiting.webhook for waiting in group])
        except Exception as error:
            await self._fail(group, error)
            return
        for waiting in group:
            waiting.complete(waiting.webhook.id in new)
        if any(waiting.webhook.id in new and not waiting.webhook.error for waiting in group):
            self._stored()

    async def _fail(self, group: list[_Waiting], error: Exception) -> None:
        """Fail a group; if the store is there, one webhook is at fault: store the halves."""
        if is_store_fault(error) or len(group) == 1:
            for waiting in group:
                waiting.complete(error)
            return
        log.warning("webhooks_stored_by_halves", webhooks=len(group), error=repr(error))
        middle = len(group) // 2
        await self._store(group[:middle])
        await self._store(group[middle:])
