"""What is written to ClickHouse, as it is read from there."""

from datetime import UTC, timedelta, timezone

import pytest

from subgraphs.analytics.clickhouse import store
from subgraphs.analytics.clickhouse.store import RawEvent
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import clickhouse
from tests.subgraphs.analytics.metrics import START

pytestmark = pytest.mark.usefixtures("stores")

MOMENT = START + timedelta(milliseconds=7)
TEXT = 'tab\tquote"back\\slash\nline \u2028 \U0001f600 {"a": [1]}'


async def test_a_row_comes_back_as_it_was_written() -> None:
    site_id, elsewhere = new_id(), timezone(timedelta(hours=5, minutes=30))
    full = RawEvent(
        site_id,
        "converted",
        MOMENT,
        new_id(),
        new_id(),
        new_id(),
        MOMENT.astimezone(elsewhere),
        new_id(),
        TEXT,
        "mobile",
        "NO",
        "VND",
        2**63 - 1,
    )
    bare = RawEvent(site_id, "orders", START, new_id(), None, None, START)

    await store.add([full, bare])

    columns = ", ".join(RawEvent._fields)
    client = await clickhouse.client()
    found = await client.query(
        f"SELECT {columns} FROM raw_events WHERE site_id = {{site:UUID}} ORDER BY metric",  # noqa: S608
        {"site": site_id},
    )
    assert [_aware(RawEvent(*row)) for row in found.result_rows] == [full, bare]


def _aware(row: RawEvent) -> RawEvent:
    """The driver reads a time of UTC without saying so."""
    return row._replace(
        occurred_at=row.occurred_at.replace(tzinfo=UTC),
        captured_at=row.captured_at.replace(tzinfo=UTC),
    )
