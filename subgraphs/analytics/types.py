"""What the graph shows of analytics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import strawberry

from subgraphs.analytics import history, service
from subgraphs.analytics.archive.loaders import ArchivesOfSite
from subgraphs.analytics.archive.types import Archive
from subgraphs.analytics.exports.loaders import ExportsOfSite
from subgraphs.analytics.exports.types import Export
from subgraphs.analytics.loaders import HistoryKey, HistoryOfSite, SeriesKey, SeriesOfSite
from subgraphs.analytics.types_events import SiteEvent, SiteEventFilter, connection
from subgraphs.kernel import paging
from subgraphs.kernel.context import Info
from subgraphs.kernel.errors import NotFound
from subgraphs.kernel.graph import to_uuid
from subgraphs.kernel.live import Entry
from subgraphs.kernel.loading import ChildKey
from subgraphs.kernel.paging import Connection
from subgraphs.kernel.permissions import IsUser

Granularity = strawberry.enum(
    service.Granularity, description="How long a point of a series is, in UTC."
)


@strawberry.type
class Counters:
    """How often each thing happened: orders at the shop, and what became of claims."""

    orders: int = 0
    published: int = 0
    shown: int = 0
    clicked: int = 0
    dismissed: int = 0


@strawberry.type
class AnalyticsPoint:
    """The counters of one hour or day, which starts at `start`."""

    start: datetime
    counters: Counters


@strawberry.type
class SiteAnalytics:
    """The numbers of a site. The open hour is included."""

    totals: Counters
    points: list[AnalyticsPoint]

    @classmethod
    def of(cls, series: service.Series) -> Self:
        return cls(
            totals=Counters(**series.totals),
            points=[
                AnalyticsPoint(start=start, counters=Counters(**counts))
                for start, counts in series.points.items()
            ],
        )


@strawberry.federation.type(keys=["id"])
class Site:
    """A shop, as far as its numbers go."""

    id: strawberry.ID

    @strawberry.field(
        permission_classes=[IsUser],
        description="Counts from `start` to `end`, both widened to whole hours or days of UTC.",
    )
    async def analytics(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        granularity: service.Granularity = service.Granularity.HOUR,
    ) -> SiteAnalytics:
        key = SeriesKey(to_uuid(self.id), service.period(start, end, granularity))
        series = await info.context.loader(SeriesOfSite).load(key)
        if series is None:
            raise NotFound("There is no such site.")
        return SiteAnalytics.of(series)

    @strawberry.field(
        permission_classes=[IsUser],
        description="What happened, newest first: facts from outside and what became of claims.",
    )
    async def events(
        self,
        info: Info,
        first: int = 20,
        after: str | None = None,
        filter: SiteEventFilter | None = None,
    ) -> Connection[SiteEvent]:
        asked = history.asked(first, after, filter.checked() if filter else history.Filter())
        page = await info.context.loader(HistoryOfSite).load(HistoryKey(to_uuid(self.id), asked))
        if page is None:
            raise NotFound("There is no such site.")
        return connection(page, asked)

    @strawberry.field(
        permission_classes=[IsUser],
        description="What has left the ledger for the archive, newest first.",
    )
    async def archives(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Archive]:
        key = ChildKey(to_uuid(self.id), paging.window(first, after))
        return paging.connection(await info.context.loader(ArchivesOfSite).load(key), Archive.of)

    @strawberry.field(permission_classes=[IsUser], description="Files of its events, newest first.")
    async def exports(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Export]:
        key = ChildKey(to_uuid(self.id), paging.window(first, after))
        return paging.connection(await info.context.loader(ExportsOfSite).load(key), Export.of)

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Self:
        return cls(id=id)


@strawberry.type
class ActivityEvent:
    """Something that happened at a site."""

    type: str
    occurred_at: datetime
    claim_id: strawberry.ID | None
    text: str | None


@strawberry.type
class SiteActivity:
    """What happened since the message before; `cursor` is where to go on from."""

    cursor: str
    events: list[ActivityEvent]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Self:
        return cls(
            cursor=entries[-1].cursor,
            events=[_event(entry.data) for entry in entries],
        )


def _event(data: Mapping[str, Any]) -> ActivityEvent:
    claim_id = data["claimId"]
    return ActivityEvent(
        type=data["type"],
        occurred_at=datetime.fromisoformat(data["occurredAt"]),
        claim_id=strawberry.ID(claim_id) if claim_id else None,
        text=data["text"],
    )
