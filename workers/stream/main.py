"""`python -m workers.stream.main`: the stream worker.

Takes the batches of the event stream through the steps below, on a line where each is worked at
while the next one comes (`line.py`). SIGTERM finishes what is in hand. More processes share the
stream.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import uvloop
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.pipeline import steps
from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.analytics.pipeline.dashboards import tell_dashboards
from subgraphs.kernel import cancellation, db, metrics, redis
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.retry import patiently
from subgraphs.kernel.storage import clickhouse
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, LEDGER_GROUP
from subgraphs.kernel.streams.interface import Consumer, Entry
from subgraphs.notifications import service as notifications
from workers.stream.batch_runner import Line, Step
from workers.stream.claim_cache import find_claims, known

log = logging.getLogger(__name__)

GROUP = LEDGER_GROUP

LAST_PATIENCE = 8.0
"""Seconds the batch in hand has to finish after SIGTERM; what is not acknowledged comes again."""


GC_THRESHOLDS = (200_000, 20, 50)
"""A batch is tens of thousands of objects that live for a moment and make no cycles. By Python's
usual thresholds the collector walks them again and again, for a third of the worker's time."""


async def make_claims(session: AsyncSession, batch: Batch) -> None:
    """What the merchants' notifications say about these events."""
    drafts = await notifications.claims_for(session, batch.source_events)
    batch.made = [known(row) for row in await notifications.save_claims(session, drafts)]


RECORD: tuple[Callable[[AsyncSession, Batch], Awaitable[None]], ...] = (
    steps.recall,
    steps.drop_gone,
    steps.write_events,
    make_claims,
    find_claims,
    steps.write_happenings,
    steps.attribute,
    steps.sessionise,
    steps.count,
)


async def record(batch: Batch) -> None:
    """All of PostgreSQL's part, in one transaction."""
    async with db.service_transaction() as session:
        for step in RECORD:
            await step(session, batch)


async def keep_cursors(batch: Batch) -> None:
    """The claims' places in the live channel, beside the claims."""
    if not batch.cursors:
        return
    async with db.service_transaction() as session:
        await notifications.set_cursors(session, batch.cursors)


STEPS: tuple[Step, ...] = (
    record,
    # Before ClickHouse: what it costs there, or that it is away, is not the visitors' to wait for.
    steps.publish_claims,
    keep_cursors,
    steps.write_raw_events,
    steps.show_counters,
    tell_dashboards,
)


async def work(consumer: Consumer, entries: Sequence[Entry], steps: Sequence[Step] = STEPS) -> None:
    """Take entries through all steps, then acknowledge."""
    await Line(consumer, steps).work(Batch.of(entries))


async def consume(consumer: Consumer, stopping: asyncio.Event) -> None:
    """Work until told to stop."""
    # A store that is away must not make us read, die and read again: that counts as a delivery.
    await patiently("postgresql", partial(db.ping, worker=True))
    await patiently("clickhouse", clickhouse.ping)
    await Line(consumer, STEPS).run(stopping)


async def main() -> None:
    configure_logging()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    consumer = event_streams.streams().consumer(EVENTS_TOPIC, GROUP)
    working = asyncio.create_task(consume(consumer, stopping))
    told = asyncio.create_task(stopping.wait())
    async with metrics.exposed(EVENTS_TOPIC, GROUP):
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=LAST_PATIENCE)
    if working.done():
        working.result()
    else:
        log.warning("a store is away: what is in hand is left for the next start")
        await cancellation.cancelled(working)
    told.cancel()
    for close in (event_streams.dispose, clickhouse.dispose, redis.dispose, db.dispose):
        await close()


if __name__ == "__main__":
    uvloop.run(main())
