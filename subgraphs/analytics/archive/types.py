"""GraphQL types of the archive. Each site sees its own share of a file."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Self
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from subgraphs.analytics.archive import models, service
from subgraphs.analytics.archive.loaders import RestoredRowsKey, RestoresOfArchive, RowsOfRestore
from subgraphs.analytics.permissions import CanReadBuyerData
from subgraphs.kernel.graphql.connections import Connection, connection
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.loading import ChildKey
from subgraphs.kernel.graphql.paging import MAX_PAGE, Page, window
from subgraphs.kernel.graphql.types import BigInt, to_id


@strawberry.enum(description="A table of the ledger.")
class LedgerTable(Enum):
    EVENTS = strawberry.enum_value(
        "events", description="Source events, like orders and page views."
    )
    NOTIFICATION_EVENTS = strawberry.enum_value(
        "notification_events", description="Notification events: what happened to claims."
    )


@strawberry.enum(description="Where the archived events are.")
class ArchiveStatus(Enum):
    ARCHIVING = strawberry.enum_value(
        "ARCHIVING", description="In the archive, and still in the ledger."
    )
    ARCHIVED = strawberry.enum_value(
        "ARCHIVED", description="In the archive only; a restore makes them readable."
    )


@strawberry.enum(description="Processing state of a restore.")
class RestoreStatus(Enum):
    REQUESTED = strawberry.enum_value("REQUESTED", description="No worker has started it yet.")
    WAITING = strawberry.enum_value(
        "WAITING", description="Cold storage makes the archive readable, which takes hours."
    )
    LOADING = strawberry.enum_value("LOADING", description="A worker loads the events.")
    READY = strawberry.enum_value("READY", description="The events can be read.")
    EXPIRED = strawberry.enum_value(
        "EXPIRED", description="The requested days are over; the events are no longer readable."
    )


@strawberry.type
class RestoredEvent:
    """An archived event."""

    data: JSON = strawberry.field(description="All columns of the event, by name.")


def _restored_event(row: service.RestoredRow) -> RestoredEvent:
    return RestoredEvent(data=JSON(row.data))


@strawberry.type
class ArchiveRestore:
    """A restore of an archive, which makes its events readable for some days."""

    id: strawberry.ID
    status: RestoreStatus
    days: int = strawberry.field(description="How long the events stay readable, in days.")
    rows: BigInt | None = strawberry.field(
        description="The number of restored events; null until the restore is READY."
    )
    requested_at: datetime
    ready_at: datetime | None = strawberry.field(
        description="When the events became readable; null until then."
    )
    expires_at: datetime | None = strawberry.field(
        description="When the events stop being readable; null until the restore is READY."
    )
    row: strawberry.Private[models.ArchiveRestore]

    @strawberry.field(
        permission_classes=[CanReadBuyerData],
        description="The restored events in the archive's order; empty unless the restore is "
        f"READY. `first` is 1 to {MAX_PAGE}. Owners and admins of the account only, because the "
        "events contain buyers' names.",
    )
    async def events(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[RestoredEvent]:
        part = service.restored_window(first, after)
        if self.row.status != "READY":
            return connection(Page((), False, after is not None), _restored_event, _cursor)
        key = RestoredRowsKey(self.row.id, self.row.table_name, part)
        page = await info.context.loader(RowsOfRestore).load(key)
        return connection(page, _restored_event, _cursor)

    @classmethod
    def of(cls, row: models.ArchiveRestore) -> Self:
        return cls(
            id=to_id(row.id),
            status=RestoreStatus(row.status),
            days=row.days,
            rows=None if row.rows is None else BigInt(row.rows),
            requested_at=row.requested_at,
            ready_at=row.ready_at,
            expires_at=row.expires_at,
            row=row,
        )


@strawberry.type
class Archive:
    """A site's archived events of one partition of the ledger.

    The file also holds other sites' events; all fields describe this site's share alone.
    """

    id: strawberry.ID
    table: LedgerTable
    range_start: datetime = strawberry.field(description="The start of the partition, inclusive.")
    range_end: datetime = strawberry.field(description="The end of the partition, exclusive.")
    first_at: datetime = strawberry.field(description="When the site's first event happened.")
    last_at: datetime = strawberry.field(description="When the site's last event happened.")
    rows: BigInt = strawberry.field(description="The number of the site's events.")
    sha256: str = strawberry.field(description="The SHA-256 checksum of the file, in hexadecimal.")
    status: ArchiveStatus
    created_at: datetime
    share_id: strawberry.Private[UUID]

    @strawberry.field(
        description="Restores of the archive, newest first. At most one of them is not EXPIRED."
    )
    async def restores(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[ArchiveRestore]:
        key = ChildKey(self.share_id, window(first, after))
        page = await info.context.loader(RestoresOfArchive).load(key)
        return connection(page, ArchiveRestore.of)

    @classmethod
    def of(cls, row: models.ArchiveShare) -> Self:
        return cls(
            id=to_id(row.id),
            table=LedgerTable(row.table_name),
            range_start=row.range_start,
            range_end=row.range_end,
            first_at=row.first_at,
            last_at=row.last_at,
            rows=BigInt(row.rows),
            sha256=row.sha256,
            status=ArchiveStatus(row.status),
            created_at=row.created_at,
            share_id=row.id,
        )


@strawberry.input
class RestoreArchiveInput:
    archive_id: strawberry.ID = strawberry.field(description="The archive to restore.")
    days: int = strawberry.field(
        default=7,
        description="How long the events stay readable, in days, from when the restore is READY: "
        f"1 to {service.MAX_DAYS}.",
    )


def _cursor(row: service.RestoredRow) -> str:
    return str(row.position)
