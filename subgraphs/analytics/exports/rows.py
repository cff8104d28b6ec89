"""The rows of an export: source events and notification events, ordered by (time, ID, type)."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.analytics.exports.formats import ExportRow
from subgraphs.analytics.exports.models import Export

_FETCH_ROWS = 500

_EVENTS = """
    SELECT id, event_type AS type, time AS occurred_at, captured_at, source, visitor_id,
           CAST(NULL AS uuid) AS notification_id, CAST(NULL AS uuid) AS claim_id,
           CAST(NULL AS text) AS page, payload::text AS payload
    FROM events
    WHERE site_id = :site AND account_id = :account AND time >= :start AND time < :end
        AND (CAST(:types AS text[]) IS NULL OR event_type = ANY (:types))
"""
_NOTIFICATION_EVENTS = """
    SELECT id, 'claim.' || event_type, created_at, captured_at, NULL, visitor_id,
           notification_id, claim_id, page, NULL
    FROM notification_events
    WHERE site_id = :site AND account_id = :account AND created_at >= :start AND created_at < :end
        AND (CAST(:types AS text[]) IS NULL OR 'claim.' || event_type = ANY (:types))
"""
_BOTH = f"{_EVENTS} UNION ALL {_NOTIFICATION_EVENTS}"

_ROWS = text(f"""
    SELECT * FROM ({_BOTH}) AS merged
    WHERE (CAST(:after_id AS uuid) IS NULL OR
           (occurred_at, id, type) > (:after_time, :after_id, :after_type))
    ORDER BY occurred_at, id, type""")  # noqa: S608  # constants above
_COUNT = text(f"SELECT count(*) FROM ({_BOTH}) AS merged")  # noqa: S608  # constants above


async def count(connection: AsyncConnection, export: Export) -> int:
    """The number of rows that the export has now."""
    number = await connection.scalar(_COUNT, _parameters(export, export.range_start))
    await connection.commit()
    return int(number or 0)


async def stream_rows(
    connection: AsyncConnection, export: Export
) -> AsyncGenerator[Sequence[ExportRow], None]:
    """Batches of rows after the export's last key, from a server-side cursor."""
    after: tuple[datetime | None, UUID | None, str | None] = (None, None, None)
    if export.last_key:
        time, id_, type_ = export.last_key
        after = (datetime.fromisoformat(time), UUID(id_), type_)
    values = _parameters(export, after[0] or export.range_start)
    values |= {"after_time": after[0], "after_id": after[1], "after_type": after[2]}
    async with connection.stream(_ROWS, values) as result:
        async for batch in result.partitions(_FETCH_ROWS):
            yield [ExportRow(*row) for row in batch]


def key_text(row: ExportRow) -> list[str]:
    """A row's sort key, as `Export.last_key` stores it."""
    return [row.occurred_at.isoformat(), str(row.id), row.type]


def _parameters(export: Export, start: datetime) -> dict[str, Any]:
    return {
        "site": export.site_id,
        "account": export.account_id,
        "start": start,
        "end": export.range_end,
        "types": export.types,
    }
