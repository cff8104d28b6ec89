"""Raw events are read back from ClickHouse as they were inserted."""

from datetime import UTC, timedelta, timezone

import pytest

from subgraphs.analytics.clickhouse import raw_events
from subgraphs.analytics.clickhouse.raw_events import RawEvent
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import clickhouse
from tests.subgraphs.analytics.site_counts import START

pytestmark = pytest.mark.usefixtures("stores")

TIME = START + timedelta(milliseconds=7)
TEXT = 'tab\tquote"back\\slash\nline \u2028 \U0001f600 {"a": [1]}'


async def test_inserted_row_is_read_back_unchanged() -> None:
    site_id, elsewhere = new_id(), timezone(timedelta(hours=5, minutes=30))
    full = RawEvent(
        site_id,
        "converted",
        TIME,
        new_id(),
        new_id(),
        new_id(),
        TIME.astimezone(elsewhere),
        new_id(),
        TEXT,
        "mobile",
        "NO",
        "VND",
        2**63 - 1,
    )
    minimal = RawEvent(site_id, "orders", START, new_id(), None, None, START)

    await raw_events.insert([full, minimal])

    columns = ", ".join(RawEvent._fields)
    client = await clickhouse.client()
    result = await client.query(
        f"SELECT {columns} FROM raw_events WHERE site_id = {{site:UUID}} ORDER BY metric",  # noqa: S608
        {"site": site_id},
    )
    assert [_aware(RawEvent(*row)) for row in result.result_rows] == [full, minimal]


def _aware(row: RawEvent) -> RawEvent:
    """Adds the time zone: the driver returns naive times in UTC."""
    return row._replace(
        occurred_at=row.occurred_at.replace(tzinfo=UTC),
        captured_at=row.captured_at.replace(tzinfo=UTC),
    )
