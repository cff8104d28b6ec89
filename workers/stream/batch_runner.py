"""The line that batches of the stream pass along, each worked at while the next one comes.

    await Line(consumer, steps).run(stopping)

Three batches are under way: one is read and decoded, one has its first step (PostgreSQL's), one has
the others. Each step has one batch at a time, in the order of the stream, so the order of a site's
events is kept; a batch is acknowledged when all its steps are done.

A store that is away holds the line, and the step that failed is tried again until it succeeds. An
event that cannot be worked with is found by halving its batch, and buried, so that it holds up
nothing.
"""

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from subgraphs.analytics.pipeline import steps
from subgraphs.analytics.pipeline.batch import Batch, Drop
from subgraphs.kernel import cancellation
from subgraphs.kernel.retry import patiently
from subgraphs.kernel.streams.interface import Consumer

log = logging.getLogger(__name__)

BATCH_SIZE = 5000
"""Entries at most. One who is behind takes as many, and the stores' fixed costs hardly show."""

BATCH_BYTES = 8_000_000
"""About as much at most, by the size of the entries before: three batches are in memory."""

BATCH_EVERY = 0.05
"""Seconds from one batch to the next unless it is full. The first order after a quiet time goes at
once, and ClickHouse, which dislikes many small inserts, gets at most twenty a second."""

IDLE_WAIT = 1.0
"""Seconds the stream is waited for at a time; so long may a SIGTERM take to be seen."""

TRIM_EVERY = 10.0
"""Seconds between two looks at what the stream may let go of."""

Step = Callable[[Batch], Awaitable[None]]


class Line:
    """The steps, and the batches on their way through them.

    Args:
        steps: the first one may be at work on a batch while the others have the one before.
    """

    def __init__(self, consumer: Consumer, steps: Sequence[Step]) -> None:
        self._consumer = consumer
        self._steps = steps
        self._limit = BATCH_SIZE
        self._trimmed = time.monotonic()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop, then finish what was read."""
        ahead = asyncio.create_task(self._read(wait=0.0))
        behind = asyncio.create_task(asyncio.sleep(0))
        try:
            batch = await ahead
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while not stopping.is_set():
                pause = self._pause_after(batch)
                if _came_before(batch):
                    await behind
                    await self.work(batch)
                    ahead = asyncio.create_task(self._read(IDLE_WAIT, pause))
                else:
                    ahead = asyncio.create_task(self._read(IDLE_WAIT, pause))
                    behind = await self._pass_on(batch, behind)
                await self._trim()
                batch = await ahead
            behind = await self._pass_on(batch, behind)
            await behind
            await self._consumer.leave()
        finally:
            await cancellation.cancelled(ahead, behind)

    async def work(self, batch: Batch) -> None:
        """Take a batch through all steps by itself, then acknowledge it."""
        try:
            if not batch.is_read:
                steps.read(batch)
            await self._through(batch, self._steps)
        except Exception as error:  # not a store's fault: an entry of these cannot be worked with
            await self._halve(batch, error)
        else:
            await self._settle(batch)

    async def _read(self, wait: float, pause: float = 0.0) -> Batch:
        await asyncio.sleep(pause)
        entries = await patiently(
            "read", partial(self._consumer.read, limit=self._limit, wait=wait)
        )
        batch = Batch.of(entries)
        with suppress(Exception):  # it comes again when it is the batch's turn
            steps.read(batch)
        return batch

    def _pause_after(self, batch: Batch) -> float:
        """Seconds from this batch to the reading of the next one, whose size it sets too."""
        count = len(batch.items)
        if count == 0:
            return 0.0
        is_full = count >= self._limit
        size = sum(len(item.entry.body) for item in batch.items) / count
        self._limit = max(1, min(BATCH_SIZE, int(BATCH_BYTES / (size + 1))))
        return 0.0 if is_full else BATCH_EVERY

    async def _pass_on(self, batch: Batch, behind: asyncio.Task[None]) -> asyncio.Task[None]:
        """Have the first step done, and the others begun; answers the task of the others."""
        if not batch.items:
            return behind
        try:
            if not batch.is_read:
                steps.read(batch)
            await self._through(batch, self._steps[:1])
        except Exception as error:
            await behind
            await self._halve(batch, error)
            return behind
        await behind
        return asyncio.create_task(self._finish(batch))

    async def _finish(self, batch: Batch) -> None:
        try:
            await self._through(batch, self._steps[1:])
        except Exception as error:
            await self._halve(batch, error)
        else:
            await self._settle(batch)

    async def _through(self, batch: Batch, steps: Sequence[Step]) -> None:
        for step in steps:
            await patiently(step.__name__, partial(step, batch))

    async def _halve(self, batch: Batch, fault: Exception) -> None:
        """Find the entry that is at fault: begin anew with each half of the batch."""
        items = batch.items
        if len(items) > 1:
            middle = len(items) // 2
            for part in (items[:middle], items[middle:]):
                await self.work(Batch(part, is_read=batch.is_read))
            return
        entry = items[0].entry
        log.error("entry %s cannot be worked with", entry.id, exc_info=fault)
        await patiently("bury", partial(self._consumer.bury, entry, "poison", repr(fault)))

    async def _settle(self, batch: Batch) -> None:
        """Acknowledge a batch that has had its effect."""
        dropped = {item.entry.id: item.drop for item in batch.items if item.drop}
        if dropped:
            log.warning("dropped %s", dict(Counter(dropped.values())))
        dead = [item.entry for item in batch.items if item.drop is Drop.UNDECODABLE]
        for entry in dead:
            detail = "not an event envelope"
            await patiently("bury", partial(self._consumer.bury, entry, Drop.UNDECODABLE, detail))
        done = [item.entry for item in batch.items if item.drop is not Drop.UNDECODABLE]
        await patiently("acknowledge", partial(self._consumer.ack, done, dropped))

    async def _trim(self) -> None:
        if time.monotonic() - self._trimmed > TRIM_EVERY:
            await patiently("trim", self._consumer.trim)
            self._trimmed = time.monotonic()


def _came_before(batch: Batch) -> bool:
    """Whether it may have killed its reader: what comes after it must not die along."""
    return any(item.entry.deliveries > 1 for item in batch.items)
