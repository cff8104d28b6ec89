"""GraphQL types of exports."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Self

import strawberry
from strawberry.permission import PermissionExtension

from subgraphs.analytics.exports import models, service
from subgraphs.analytics.permissions import CanReadBuyerData
from subgraphs.analytics.site_events.query import MAX_TYPES
from subgraphs.kernel.graphql.types import BigInt, to_id


@strawberry.enum(description="The format of the file. Both formats have one event a line.")
class ExportFormat(Enum):
    CSV = strawberry.enum_value(
        "CSV",
        description="RFC 4180, with a header and every cell in quotes. An apostrophe precedes "
        "= + - @ at the start of a cell, and after a semicolon, a tab or a line break in it, so "
        "that no spreadsheet runs the text as a formula.",
    )
    NDJSON = strawberry.enum_value(
        "NDJSON", description="One JSON object a line; values are unchanged."
    )


@strawberry.enum(description="Processing state of the export.")
class ExportStatus(Enum):
    QUEUED = strawberry.enum_value("QUEUED", description="No worker has started it yet.")
    RUNNING = strawberry.enum_value("RUNNING", description="A worker writes the file.")
    READY = strawberry.enum_value("READY", description="The file is complete; `url` downloads it.")
    FAILED = strawberry.enum_value(
        "FAILED", description="Every attempt failed for hours; request a new export."
    )
    EXPIRED = strawberry.enum_value("EXPIRED", description="The file was deleted.")


@strawberry.type
class Export:
    """An export of a site's events to a file."""

    id: strawberry.ID
    status: ExportStatus
    format: ExportFormat
    start: datetime = strawberry.field(description="The earliest time of the events, inclusive.")
    end: datetime = strawberry.field(description="The latest time of the events, exclusive.")
    types: list[str] | None = strawberry.field(
        description="The exported event types; null for all."
    )
    progress: float = strawberry.field(
        description="The share of events written, from 0 to 1; 1 only once the file is complete."
    )
    rows: BigInt = strawberry.field(description="The number of events written so far.")
    bytes: BigInt = strawberry.field(description="The size of the file so far, in bytes.")
    created_at: datetime
    expires_at: datetime | None = strawberry.field(
        description="When the file is deleted; null until the export is READY."
    )
    row: strawberry.Private[models.Export]

    @strawberry.field(
        extensions=[
            PermissionExtension([CanReadBuyerData()], use_directives=False, fail_silently=True)
        ],
        description="A link that downloads the file, valid for 5 minutes. Null unless the export "
        "is READY, and for users who are neither owner nor admin of the account.",
    )
    def url(self) -> str | None:
        return service.link(self.row)

    @classmethod
    def of(cls, row: models.Export) -> Self:
        status = "EXPIRED" if service.is_expired(row) else row.status
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
    site_id: strawberry.ID = strawberry.field(description="The site whose events are exported.")
    start: datetime = strawberry.field(description="The earliest time, inclusive.")
    end: datetime = strawberry.field(
        description="The latest time, exclusive; at most "
        f"{service.MAX_RANGE.days} days after `start`."
    )
    format: ExportFormat
    types: list[str] | None = strawberry.field(
        default=None,
        description="Only events of these types, like `order.created` or `claim.clicked`: 1 to "
        f"{MAX_TYPES}. All types if omitted.",
    )
