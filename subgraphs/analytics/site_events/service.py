"""Pages of sites' events."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.site_events.cursor import Position
from subgraphs.analytics.site_events.query import EventsQuery, with_default_since
from subgraphs.analytics.site_events.statement import parameters_of, statement_of
from subgraphs.kernel.graphql.paging import Page


class SiteEventRow(NamedTuple):
    """One event; a row of `events` or, if `about_claim`, of `notification_events`."""

    site_id: UUID
    about_claim: bool
    time: datetime
    id: UUID
    event_type: str
    captured_at: datetime
    visitor_id: str | None
    source: str | None
    payload: dict[str, Any] | None
    claim_id: UUID | None
    notification_id: UUID | None
    page: str | None
    arm: str | None
    revenue_minor: int | None
    currency: str | None

    @property
    def position(self) -> Position:
        return Position(self.time, self.id, self.event_type)


async def list_for_sites(
    session: AsyncSession, site_ids: Collection[UUID], query: EventsQuery
) -> Mapping[UUID, Page[SiteEventRow]]:
    """The same page of each site's events, newest first, in one statement."""
    query = with_default_since(query, datetime.now(UTC))
    events: dict[UUID, list[SiteEventRow]] = {site_id: [] for site_id in site_ids}
    statement = statement_of(query)
    if statement is not None:
        parameters = parameters_of(query) | {"sites": list(site_ids)}
        for row in await session.execute(statement, parameters):
            events[row.site_id].append(SiteEventRow(*row))
    first, has_previous = query.first, query.after is not None
    return {
        site_id: Page(rows[:first], len(rows) > first, has_previous)
        for site_id, rows in events.items()
    }
