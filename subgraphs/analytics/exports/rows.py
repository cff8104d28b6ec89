"""A site's events in order, behind a key: the source events and what happened to claims."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.analytics.exports.formats import Line
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

_LINES = text(f"""
    SELECT * FROM ({_BOTH}) AS told
    WHERE (CAST(:after_id AS uuid) IS NULL OR
           (occurred_at, id, type) > (:after_time, :after_id, :after_type))
    ORDER BY occurred_at, id, type""")  # noqa: S608  # all of it stands above
_COUNT = text(f"SELECT count(*) FROM ({_BOTH}) AS told")  # noqa: S608  # as above


async def count(connection: AsyncConnection, export: Export) -> int:
    """How many lines it will have, as of now."""
    found = await connection.scalar(_COUNT, _asked(export, export.range_start))
    await connection.commit()
    return int(found or 0)


async def lines(
    connection: AsyncConnection, export: Export
) -> AsyncGenerator[Sequence[Line], None]:
    """Lists of lines behind the export's last key, through a server-side cursor."""
    after: tuple[datetime | None, UUID | None, str | None] = (None, None, None)
    if export.last_key:
        moment, id_, type_ = export.last_key
        after = (datetime.fromisoformat(moment), UUID(id_), type_)
    asked = _asked(export, after[0] or export.range_start)
    values = asked | {"after_time": after[0], "after_id": after[1], "after_type": after[2]}
    async with connection.stream(_LINES, values) as result:
        async for some in result.partitions(_FETCH_ROWS):
            yield [Line(*row) for row in some]


def key_text(line: Line) -> list[str]:
    """A line's place in the order."""
    return [line.occurred_at.isoformat(), str(line.id), line.type]


def _asked(export: Export, start: datetime) -> dict[str, Any]:
    return {
        "site": export.site_id,
        "account": export.account_id,
        "start": start,
        "end": export.range_end,
        "types": export.types,
    }
