"""What the graph shows of exports."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Self

import strawberry

from subgraphs.analytics.exports import models, service
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import BigInt, to_id


@strawberry.enum(description="How the file is written; one event a line in both.")
class ExportFormat(Enum):
    CSV = strawberry.enum_value(
        "CSV",
        description="RFC 4180, with a header and every cell in quotes. = + - @ at the beginning "
        "of a cell, or after a semicolon, a tab or a line's end in it, have an apostrophe before "
        "them, so that no spreadsheet takes it for a formula.",
    )
    NDJSON = strawberry.enum_value(
        "NDJSON", description="A JSON object a line, values as they are."
    )


@strawberry.enum(description="How far it is.")
class ExportStatus(Enum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    READY = strawberry.enum_value("READY", description="`url` opens the file.")
    FAILED = strawberry.enum_value("FAILED", description="Given up after hours; ask again.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="The file is gone.")


@strawberry.type
class Export:
    """A file of a site's events."""

    id: strawberry.ID
    status: ExportStatus
    format: ExportFormat
    start: datetime
    end: datetime
    types: list[str] | None
    progress: float = strawberry.field(description="From 0 to 1.")
    rows: BigInt
    bytes: BigInt
    created_at: datetime
    expires_at: datetime | None
    row: strawberry.Private[models.Export]

    @strawberry.field(
        description="Where the file is, for five minutes from now; null until it is READY, and for "
        "those who may only look on."
    )
    def url(self, info: Info) -> str | None:
        if self.row.account_id in info.context.viewer.read_only_ids:
            return None
        return service.link(self.row)

    @classmethod
    def of(cls, row: models.Export) -> Self:
        status = "EXPIRED" if service.is_over(row) else row.status
        return cls(
            id=to_id(row.id),
            status=ExportStatus(status),
            format=ExportFormat(row.format),
            start=row.range_start,
            end=row.range_end,
            types=row.types,
            progress=service.progress(row),
            rows=BigInt(row.rows),
            bytes=BigInt(row.bytes),
            created_at=row.created_at,
            expires_at=row.expires_at,
            row=row,
        )


@strawberry.input
class ExportEventsInput:
    site_id: strawberry.ID
    start: datetime
    end: datetime = strawberry.field(description="Not included.")
    format: ExportFormat
    types: list[str] | None = strawberry.field(
        default=None, description="Such as `order.created` or `claim.clicked`; all without it."
    )
