"""The step `sessionise`: writes the new events of visitors into the visitor journal.

A Celery task folds the journal into `visitor_profiles` some seconds later (`ledger/profiles.py`).
A visit is many events within minutes: to update a profile for each of them would cost more than all
other steps together.

Only events that are new in the ledger are written, in the same transaction, so a repeated batch
changes no profile. Orders do not make a session, since they come from the shop and not from a page.
"""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.ledger import visitor_journal
from subgraphs.analytics.ledger.sessions import to_milliseconds
from subgraphs.analytics.ledger.visitor_journal import COLUMNS, SiteVisitorEvents, VisitorEvent
from subgraphs.analytics.pipeline.batch import (
    GOAL_REACHED,
    ORDER_CREATED,
    PAGE_VIEWED,
    SNIPPET,
    Batch,
)

_COLUMN_OF = {
    PAGE_VIEWED: COLUMNS.index("views"),
    GOAL_REACHED: COLUMNS.index("goals"),
    ORDER_CREATED: COLUMNS.index("orders"),
    "shown": COLUMNS.index("shown"),
    "clicked": COLUMNS.index("clicks"),
    "dismissed": COLUMNS.index("dismissals"),
    "withheld": COLUMNS.index("withheld"),
}


async def sessionise(session: AsyncSession, batch: Batch) -> None:
    """Append the visitor events that are new in the ledger to the visitor journal."""
    sites: dict[UUID, SiteVisitorEvents] = {}
    for site_id, account_id, event in _visitor_events(batch):
        site = sites.get(site_id)
        if site is None:
            site = sites[site_id] = SiteVisitorEvents(site_id, account_id, [])
        site.visitor_events.append(event)
    if sites:
        await visitor_journal.append(session, list(sites.values()))


def _visitor_events(batch: Batch) -> Iterator[tuple[UUID, UUID, VisitorEvent]]:
    for source in batch.new_events:
        column = _COLUMN_OF.get(source.type)
        if column is not None and source.visitor_id:
            at = to_milliseconds(source.occurred_at)
            event = VisitorEvent(source.visitor_id, column, at, source.source == SNIPPET)
            yield source.site_id, source.account_id, event
    for row in batch.new_notification_events:
        column = _COLUMN_OF.get(row.event_type)
        if column is not None and row.visitor_id:
            event = VisitorEvent(row.visitor_id, column, to_milliseconds(row.created_at), True)
            yield row.site_id, row.account_id, event
