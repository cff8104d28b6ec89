"""`integrations.process_inbox`: a webhook as it came, on to the event stream.

The row is locked, its events are appended, then it is marked. A crash in between appends the same
events again, and their ids make that harmless.
"""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.integrations import service
from subgraphs.integrations.models import InboxItem
from subgraphs.kernel import db
from subgraphs.kernel.errors import ProofgraphError
from subgraphs.kernel.retry import is_store_fault
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, encode
from subgraphs.kernel.streams.interface import Record
from workers.app import PROCESS_INBOX, SWEEP_INBOX, app, run

log = logging.getLogger(__name__)

OVERDUE = timedelta(seconds=3)
"""How old a row is before the sweep takes it: its own task has had its chance."""

SWEEP_SIZE = 500


@app.task(name=PROCESS_INBOX)
def process_inbox(inbox_id: str) -> None:
    run(process(UUID(inbox_id)))


@app.task(name=SWEEP_INBOX)
def sweep_inbox() -> int:
    return run(sweep())


async def process(inbox_id: UUID) -> None:
    """Process a row once; later calls find it done."""
    async with db.service_transaction() as session:
        item = await session.get(InboxItem, inbox_id, with_for_update={"skip_locked": True})
        if item is not None and item.status == "RECEIVED":
            await _process(session, item)


async def sweep() -> int:
    """Process what a killed worker, a lost message or an outage left; answers how many."""
    overdue = (
        select(InboxItem.id)
        .where(InboxItem.status == "RECEIVED", InboxItem.received_at < datetime.now(UTC) - OVERDUE)
        .order_by(InboxItem.received_at)
        .limit(SWEEP_SIZE)
    )
    async with db.service_transaction() as session:
        ids = (await session.scalars(overdue)).all()
    for inbox_id in ids:
        await process(inbox_id)
    return len(ids)


async def _process(session: AsyncSession, item: InboxItem) -> None:
    try:
        events = service.normalise(item)
    except Exception as error:
        if is_store_fault(error):
            raise
        if not isinstance(error, ProofgraphError):
            log.exception("inbox %s could not be read", item.id)
        item.status, item.error = "REJECTED", str(error)[:500]
    else:
        records = [Record(str(event.site_id), str(event.id), encode(event)) for event in events]
        await event_streams.streams().append(EVENTS_TOPIC, records)
        item.status = "PROCESSED" if events else "IGNORED"
    item.processed_at = datetime.now(UTC)
