"""`python -m workers.ingest`: the stream worker.

Takes a batch off the event stream through the steps below and acknowledges it after the last one.
A store that is away holds the batch, and the step that failed is tried again until it succeeds. An
event that cannot be worked with is found by halving the batch, and buried, so that it holds up
nothing. SIGTERM finishes the batch in hand.
"""

import asyncio
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import pipeline
from subgraphs.analytics.batch import Batch, Drop
from subgraphs.analytics.batch import Claim as KnownClaim
from subgraphs.kernel import clickhouse, db, event_streams, redis, telemetry
from subgraphs.kernel.events import EVENTS_TOPIC
from subgraphs.kernel.faults import patiently
from subgraphs.kernel.streams import Consumer, Entry
from subgraphs.notifications import service as notifications
from subgraphs.notifications.models import Claim

log = logging.getLogger(__name__)

GROUP = "ledger"

BATCH_SIZE = 500
"""Entries: enough to share the stores' fsyncs, few enough to be done in a fraction of a second."""

BATCH_EVERY = 0.05
"""Seconds from one batch to the next unless it is full. The first order after a quiet time goes at
once, and ClickHouse, which dislikes many small inserts, gets at most twenty a second."""

IDLE_WAIT = 1.0
"""Seconds the stream is waited for at a time; so long may a SIGTERM take to be seen."""

TRIM_EVERY = 10.0
"""Seconds between two looks at what the stream may let go of."""

LAST_PATIENCE = 8.0
"""Seconds the batch in hand has to finish after SIGTERM; what is not acknowledged comes again."""


async def make_claims(session: AsyncSession, batch: Batch) -> None:
    """What the merchants' notifications say about these events."""
    drafts = await notifications.claims_for(session, batch.source_events)
    batch.made = [_known(row) for row in await notifications.save_claims(session, drafts)]


async def find_claims(session: AsyncSession, batch: Batch) -> None:
    """The claims that claim events speak of."""
    found = await notifications.claims_by_id(session, batch.claim_ids)
    batch.mentioned = {claim_id: _known(row) for claim_id, row in found.items()}


RECORD: tuple[Callable[[AsyncSession, Batch], Awaitable[None]], ...] = (
    pipeline.recall,
    pipeline.write_events,
    make_claims,
    find_claims,
    pipeline.write_happenings,
    pipeline.attribute,
    pipeline.sessionise,
    pipeline.count,
)


async def record(batch: Batch) -> None:
    """All of PostgreSQL's part, in one transaction."""
    async with db.service_transaction() as session:
        for step in RECORD:
            await step(session, batch)


async def keep_cursors(batch: Batch) -> None:
    """The claims' places in the live channel, beside the claims."""
    async with db.service_transaction() as session:
        await notifications.set_cursors(session, batch.cursors)


Step = Callable[[Batch], Awaitable[None]]

STEPS: tuple[Step, ...] = (
    record,
    # Before ClickHouse: what it costs there, or that it is away, is not the visitors' to wait for.
    pipeline.publish_claims,
    keep_cursors,
    pipeline.write_raw_events,
    pipeline.show_counters,
    pipeline.tell_dashboards,
)


async def work(consumer: Consumer, entries: Sequence[Entry], steps: Sequence[Step] = STEPS) -> None:
    """Take entries through all steps, then acknowledge."""
    batch = Batch.of(entries)
    try:
        pipeline.read(batch)
        for step in steps:
            await patiently(step.__name__, partial(step, batch))
    except Exception as error:  # not a store's fault: an entry of these cannot be worked with
        fault = error
    else:
        await settle(consumer, batch)
        return
    if len(entries) == 1:
        log.error("entry %s cannot be worked with", entries[0].id, exc_info=fault)
        await patiently("bury", partial(consumer.bury, entries[0], "poison", repr(fault)))
        return
    middle = len(entries) // 2
    await work(consumer, entries[:middle], steps)
    await work(consumer, entries[middle:], steps)


async def settle(consumer: Consumer, batch: Batch) -> None:
    """Acknowledge a batch that has had its effect."""
    dropped = {item.entry.id: item.drop for item in batch.items if item.drop}
    if dropped:
        log.warning("dropped %s", dict(Counter(dropped.values())))
    dead = [item.entry for item in batch.items if item.drop is Drop.UNDECODABLE]
    for entry in dead:
        detail = "not an event envelope"
        await patiently("bury", partial(consumer.bury, entry, Drop.UNDECODABLE, detail))
    done = [item.entry for item in batch.items if item.drop is not Drop.UNDECODABLE]
    await patiently("acknowledge", partial(consumer.ack, done, dropped))


async def consume(consumer: Consumer, stopping: asyncio.Event) -> None:
    """Work until told to stop."""
    # A store that is away must not make us read, die and read again: that counts as a delivery.
    await patiently("postgresql", partial(db.ping, worker=True))
    await patiently("clickhouse", clickhouse.ping)
    wait, trimmed = 0.0, time.monotonic()
    while not stopping.is_set():
        started = time.monotonic()
        entries = await patiently("read", partial(consumer.read, limit=BATCH_SIZE, wait=wait))
        if not wait:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            wait = IDLE_WAIT
        if entries:
            await work(consumer, entries)
        if time.monotonic() - trimmed > TRIM_EVERY:
            await patiently("trim", consumer.trim)
            trimmed = time.monotonic()
        if entries and len(entries) < BATCH_SIZE:
            await asyncio.sleep(max(0.0, started + BATCH_EVERY - time.monotonic()))
    await consumer.leave()


async def main() -> None:
    telemetry.configure()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    consumer = event_streams.streams().consumer(EVENTS_TOPIC, GROUP)
    working = asyncio.create_task(consume(consumer, stopping))
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({working}, timeout=LAST_PATIENCE)
    if working.done():
        working.result()
    else:
        log.warning("a store is away: what is in hand is left for the next start")
        working.cancel()
    told.cancel()
    for close in (event_streams.dispose, clickhouse.dispose, redis.dispose, db.dispose):
        await close()


def _known(row: Claim) -> KnownClaim:
    return KnownClaim(
        id=row.id,
        account_id=row.account_id,
        site_id=row.site_id,
        notification_id=row.notification_id,
        text=row.text,
        published_at=row.published_at,
        message=notifications.claim_message(row),
        variant_id=row.variant_id,
    )


if __name__ == "__main__":
    asyncio.run(main())
