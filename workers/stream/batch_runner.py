"""The batch runner: takes batches of the event stream through the steps, three at a time.

    await BatchRunner(consumer, STEPS).run(stopping)

While one batch is published, the next one is recorded in PostgreSQL and a third one is read. Each
stage has one batch at a time, in stream order, so the events of a site keep their order. A batch is
acknowledged when all its steps are done.

While a store is unavailable, the failed step is retried and later batches wait. When an event makes
a step fail, the runner finds it by halving the batch and dead-letters it, so that the other events
proceed.
"""

import asyncio
import sys
import time
from collections import Counter
from contextlib import suppress
from functools import partial

import structlog

from subgraphs.analytics.pipeline.batch import Batch, Drop
from subgraphs.kernel import cancellation
from subgraphs.kernel.retry import retry_while_unavailable
from subgraphs.kernel.streams.interface import Consumer
from workers.stream.steps import Steps

log = structlog.stdlib.get_logger(__name__)

BATCH_SIZE = 5000
"""Entries at most. A worker that lags reads this many, so the stores' fixed costs hardly show."""

BATCH_BYTES = 8_000_000
"""Approximate limit, from the size of the entries before; three batches are in memory at once."""

BATCH_EVERY = 0.05
"""Seconds from one batch to the next unless a batch is full. The first order after a quiet time
runs at once, and ClickHouse, which handles many small inserts badly, gets at most 20 a second."""

IDLE_WAIT = 1.0
"""Seconds that one read waits for entries, and so the longest delay until a SIGTERM is seen."""

TRIM_EVERY = 10.0
"""Seconds between two trims of the stream."""


class BatchRunner:
    """Runs the batches of one consumer through the steps."""

    def __init__(self, consumer: Consumer, steps: Steps) -> None:
        self._consumer = consumer
        self._steps = steps
        self._limit = BATCH_SIZE
        self._trimmed = time.monotonic()

    async def run(self, stopping: asyncio.Event) -> None:
        """Run batches until `stopping` is set, then finish the batches in flight."""
        reading = asyncio.create_task(self._read(wait=0.0))
        publishing = asyncio.create_task(asyncio.sleep(0))
        try:
            batch = await reading
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while not stopping.is_set():
                pause = self._pause_after(batch)
                if _was_delivered_before(batch):
                    await publishing
                    await self.work(batch)
                    reading = asyncio.create_task(self._read(IDLE_WAIT, pause))
                else:
                    reading = asyncio.create_task(self._read(IDLE_WAIT, pause))
                    publishing = await self._start(batch, publishing)
                await self._trim()
                batch = await reading
            publishing = await self._start(batch, publishing)
            await publishing
            await self._consumer.leave()
        finally:
            await cancellation.cancel_and_wait(reading, publishing)

    async def work(self, batch: Batch) -> None:
        """Run one batch through all steps by itself, then acknowledge it."""
        try:
            if not batch.is_read:
                self._steps.read(batch)
            await self._record(batch)
            await self._publish(batch)
        except Exception as error:  # no store failed, so one of the entries makes a step fail
            await self._halve(batch, error)
        else:
            await self._settle(batch)

    async def _read(self, wait: float, pause: float = 0.0) -> Batch:
        await asyncio.sleep(pause)
        entries = await retry_while_unavailable(
            "read", partial(self._consumer.read, limit=self._limit, wait=wait)
        )
        batch = Batch.of(entries)
        with suppress(Exception):  # raised again when the batch is worked on
            self._steps.read(batch)
        return batch

    def _pause_after(self, batch: Batch) -> float:
        """Seconds from this batch to the next read; also sets the size of the next batch."""
        count = len(batch.items)
        if count == 0:
            return 0.0
        is_full = count >= self._limit
        size = sum(len(item.entry.body) for item in batch.items) / count
        self._limit = max(1, min(BATCH_SIZE, int(BATCH_BYTES / (size + 1))))
        return 0.0 if is_full else BATCH_EVERY

    async def _start(self, batch: Batch, publishing: asyncio.Task[None]) -> asyncio.Task[None]:
        """Record a batch and start to publish it; returns the task that publishes it."""
        if not batch.items:
            return publishing
        try:
            if not batch.is_read:
                self._steps.read(batch)
            await self._record(batch)
        except Exception as error:
            await publishing
            await self._halve(batch, error)
            return publishing
        await publishing
        return asyncio.create_task(self._finish(batch))

    async def _finish(self, batch: Batch) -> None:
        try:
            await self._publish(batch)
        except Exception as error:
            await self._halve(batch, error)
        else:
            await self._settle(batch)

    async def _record(self, batch: Batch) -> None:
        await retry_while_unavailable("record", partial(self._steps.record, batch))

    async def _publish(self, batch: Batch) -> None:
        for step in self._steps.publishing:
            await retry_while_unavailable(step.__name__, partial(step, batch))

    async def _halve(self, batch: Batch, fault: Exception) -> None:
        """Find the entry at fault: run each half of the batch, down to a single entry."""
        items = batch.items
        if len(items) > 1:
            middle = len(items) // 2
            for part in (items[:middle], items[middle:]):
                await self.work(Batch(part, is_read=batch.is_read))
            return
        entry = items[0].entry
        log.error("dead_lettered", entry=str(entry.id), exc_info=fault)
        await retry_while_unavailable(
            "dead-letter", partial(self._consumer.dead_letter, entry, "poison", repr(fault))
        )

    async def _settle(self, batch: Batch) -> None:
        """Acknowledge a batch whose steps are done; dead-letter its undecodable entries."""
        dropped = {item.entry.id: item.drop for item in batch.items if item.drop}
        if dropped:
            log.warning("dropped", events=dict(Counter(dropped.values())))
        undecodable = [item.entry for item in batch.items if item.drop is Drop.UNDECODABLE]
        for entry in undecodable:
            detail = "not an event envelope"
            await retry_while_unavailable(
                "dead-letter", partial(self._consumer.dead_letter, entry, Drop.UNDECODABLE, detail)
            )
        done = [item.entry for item in batch.items if item.drop is not Drop.UNDECODABLE]
        await retry_while_unavailable("acknowledge", partial(self._consumer.ack, done, dropped))

    async def _trim(self) -> None:
        if time.monotonic() - self._trimmed > TRIM_EVERY:
            await retry_while_unavailable("trim", self._consumer.trim)
            self._trimmed = time.monotonic()


def _was_delivered_before(batch: Batch) -> bool:
    """Whether a worker may have crashed on this batch; it then runs while no other batch does."""
    return any(item.entry.deliveries > 1 for item in batch.items)
