"""Tasks that turn received webhooks into events of the stream.

    integrations.process_inbox  one webhook, as soon as it is received
    integrations.sweep_inbox    webhooks that a killed worker, a lost message or an outage left

A task locks the inbox row, appends its events, and then marks the row. A crash in between appends
the same events again; their ids deduplicate them.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.integrations import service
from subgraphs.integrations.models import InboxItem
from subgraphs.kernel import db, task_names
from subgraphs.kernel.errors import ProofgraphError
from subgraphs.kernel.retry import is_store_fault
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, encode
from subgraphs.kernel.streams.interface import Record
from workers.app import app, run

log = structlog.stdlib.get_logger(__name__)

OVERDUE = timedelta(seconds=3)
"""Age from which the sweep takes a row: its own task has had enough time."""

SWEEP_SIZE = 500
"""Rows of one sweep."""


@app.task(name=task_names.PROCESS_INBOX)
def process_inbox(inbox_id: str) -> None:
    run(process(UUID(inbox_id)))


@app.task(name=task_names.SWEEP_INBOX)
def sweep_inbox() -> int:
    return run(sweep())


async def process(inbox_id: UUID) -> None:
    """Process a row once; repeated and concurrent calls do nothing."""
    async with db.service_transaction() as session:
        item = await session.get(InboxItem, inbox_id, with_for_update={"skip_locked": True})
        if item is not None and item.status == "RECEIVED":
            await _process(session, item)


async def sweep() -> int:
    """Process the overdue rows; returns how many."""
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
            log.exception("webhook_rejected", inbox_id=str(item.id))
        item.status, item.error = "REJECTED", str(error)[:500]
    else:
        records = [Record(str(event.site_id), str(event.id), encode(event)) for event in events]
        await event_streams.streams().append(EVENTS_TOPIC, records)
        item.status = "PROCESSED" if events else "IGNORED"
    item.processed_at = datetime.now(UTC)
