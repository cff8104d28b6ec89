"""What the graph shows of the archive: each site its own share."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Self
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from subgraphs.analytics.archive import models, service
from subgraphs.analytics.archive.loaders import RestoresOfArchive
from subgraphs.kernel import db
from subgraphs.kernel.errors import BadUserInput, Forbidden
from subgraphs.kernel.graphql.connections import Connection, Edge, PageInfo, connection
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.loading import ChildKey
from subgraphs.kernel.graphql.paging import MAX_PAGE, window
from subgraphs.kernel.graphql.types import BigInt, to_id


@strawberry.enum(description="Which part of the ledger it is of.")
class LedgerTable(Enum):
    EVENTS = strawberry.enum_value("events", description="Source events: orders, page views.")
    NOTIFICATION_EVENTS = strawberry.enum_value(
        "notification_events", description="What happened to claims."
    )


@strawberry.enum(description="Where its events are.")
class ArchiveStatus(Enum):
    ARCHIVING = strawberry.enum_value("ARCHIVING", description="Written, still in the ledger too.")
    ARCHIVED = strawberry.enum_value("ARCHIVED", description="In the archive alone.")


@strawberry.enum(description="How far it is.")
class RestoreStatus(Enum):
    REQUESTED = "REQUESTED"
    WAITING = strawberry.enum_value("WAITING", description="Fetched from the cold; takes hours.")
    LOADING = "LOADING"
    READY = strawberry.enum_value("READY", description="Its events can be read.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="Its days are over.")


@strawberry.type
class RestoredEvent:
    """An archived event as it was: all its columns."""

    data: JSON


@strawberry.type
class ArchiveRestore:
    """An archive on its way back, or there for a while."""

    id: strawberry.ID
    status: RestoreStatus
    days: int
    rows: BigInt | None
    requested_at: datetime
    ready_at: datetime | None
    expires_at: datetime | None
    row: strawberry.Private[models.ArchiveRestore]

    @strawberry.field(
        description="In the archive's order; nothing unless READY. Refused to those who may only "
        "look on: buyers' names are in it."
    )
    async def events(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[RestoredEvent]:
        if self.row.account_id in info.context.viewer.read_only_ids:
            raise Forbidden("Only owners and administrators of the account read restored events.")
        if not 1 <= first <= MAX_PAGE:
            raise BadUserInput(f"`first` must be between 1 and {MAX_PAGE}.")
        if after is not None and not (after.isascii() and after.isdigit() and len(after) < 16):
            raise BadUserInput("`after` is not a cursor of this list.")
        behind = -1 if after is None else int(after)
        async with db.read_session(info.context.viewer) as session:
            rows = await service.restored_rows(session, self.row, first=first, after=behind)
        edges = [
            Edge(cursor=str(row.position), node=RestoredEvent(data=JSON(row.data)))
            for row in rows[:first]
        ]
        return Connection(
            edges=edges,
            page_info=PageInfo(
                has_next_page=len(rows) > first,
                has_previous_page=after is not None,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )

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
    """A site's events of a time that have left the ledger, or are about to.

    The file holds other sites' events too, so nothing of it is told but this site's share.
    """

    id: strawberry.ID
    table: LedgerTable
    range_start: datetime
    range_end: datetime
    first_at: datetime = strawberry.field(description="When its first event happened.")
    last_at: datetime
    rows: BigInt
    sha256: str = strawberry.field(description="Of the file, in hex.")
    status: ArchiveStatus
    created_at: datetime
    share_id: strawberry.Private[UUID]

    @strawberry.field(description="Newest first; one at a time is not EXPIRED.")
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
    archive_id: strawberry.ID
    days: int = strawberry.field(
        default=7, description="How long what is restored stays, from when it is there: 1 to 30."
    )
