"""Rollups on the real ClickHouse."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from subgraphs.analytics import store, store_rollups
from subgraphs.analytics.store import RawEvent
from subgraphs.kernel import clickhouse
from subgraphs.kernel.ids import new_id
from workers.rollups import roll_up_all

pytestmark = pytest.mark.usefixtures("stores")

HOUR = store.start_of_hour(datetime.now(UTC)) - timedelta(hours=5)


def happened(site_id: UUID, metric: str, minutes: float) -> RawEvent:
    """Something `minutes` into the hour."""
    now = datetime.now(UTC)
    return RawEvent(
        site_id, metric, HOUR + timedelta(minutes=minutes), new_id(), new_id(), new_id(), now
    )


async def read(site_id: UUID) -> dict[tuple[int, str], int]:
    """Counts by hours after HOUR and metric."""
    found = await store.counts(
        [site_id], HOUR - store.HOUR, HOUR + timedelta(hours=12), step=store.Step.HOUR
    )
    return {(int((row.start - HOUR) / store.HOUR), row.metric): row.value for row in found}


async def rolled(site_id: UUID) -> list[tuple[str, int]]:
    """What stands in `hourly_counts`."""
    client = await clickhouse.client()
    statement = """
        SELECT metric, value FROM hourly_counts FINAL
        WHERE site_id = {site:UUID} AND dimension = '' ORDER BY ALL
    """
    result = await client.query(statement, {"site": site_id})
    return [(str(metric), int(value)) for metric, value in result.result_rows]


async def test_an_hour_that_is_over_is_rolled_and_reads_the_same() -> None:
    site_id = new_id()
    await store.add(
        [
            happened(site_id, "shown", 0),
            happened(site_id, "shown", 59.99),
            happened(site_id, "clicked", 30),
            happened(site_id, "shown", 60),
        ]
    )
    before = await read(site_id)

    await roll_up_all()

    assert before == await read(site_id) == {(0, "shown"): 2, (0, "clicked"): 1, (1, "shown"): 1}
    assert await rolled(site_id) == [("clicked", 1), ("shown", 1), ("shown", 2)]


async def test_rolling_twice_leaves_the_same_numbers() -> None:
    site_id = new_id()
    rows = [happened(site_id, "shown", minute) for minute in range(10)]
    await store.add(rows)
    await roll_up_all()
    once = await rolled(site_id)

    await store_rollups.roll([HOUR])
    await store_rollups.roll([HOUR])
    assert await roll_up_all() == 0

    assert once == await rolled(site_id) == [("shown", 10)]
    assert await read(site_id) == {(0, "shown"): 10}


async def test_a_late_event_opens_its_hour_until_the_next_rollup() -> None:
    site_id = new_id()
    await store.add([happened(site_id, "shown", 1)])
    await roll_up_all()

    await store.add([happened(site_id, "shown", 2), happened(site_id, "dismissed", 3)])
    late = await read(site_id)
    assert await rolled(site_id) == [("shown", 1)]
    await roll_up_all()

    assert late == await read(site_id) == {(0, "shown"): 2, (0, "dismissed"): 1}
    assert await rolled(site_id) == [("dismissed", 1), ("shown", 2)]


async def test_a_repeated_insert_counts_once_before_and_after_the_rollup() -> None:
    site_id = new_id()
    rows = [happened(site_id, "shown", minute) for minute in range(5)]
    await store.add(rows)
    await roll_up_all()

    await store.add(rows)
    assert await read(site_id) == {(0, "shown"): 5}
    await roll_up_all()

    assert await read(site_id) == {(0, "shown"): 5}


async def test_the_open_hour_is_read_and_not_rolled() -> None:
    site_id, now = new_id(), datetime.now(UTC)
    await store.add([RawEvent(site_id, "shown", now, new_id(), None, None, now)])

    await roll_up_all()

    assert await rolled(site_id) == []
    assert list((await read(site_id)).values()) == [1]
