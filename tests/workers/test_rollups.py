"""Rollups on the real ClickHouse."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from subgraphs.analytics.clickhouse import hours, raw_events, rollups
from subgraphs.analytics.clickhouse.counts import get_counts
from subgraphs.analytics.clickhouse.metrics import Dimension, Granularity
from subgraphs.analytics.clickhouse.raw_events import RawEvent
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import clickhouse
from tests.fixtures.cells import cells
from workers.rollups import roll_up_all

pytestmark = pytest.mark.usefixtures("stores")

HOUR = hours.start_of_hour(datetime.now(UTC)) - timedelta(hours=5)


def raw_event(site_id: UUID, metric: str, minutes: float) -> RawEvent:
    """An event `minutes` into the hour."""
    now = datetime.now(UTC)
    return RawEvent(
        site_id, metric, HOUR + timedelta(minutes=minutes), new_id(), new_id(), new_id(), now
    )


async def read(site_id: UUID) -> dict[tuple[int, str], int]:
    """Counts by metric and hours after HOUR."""
    found = await get_counts(
        [site_id], HOUR - hours.HOUR, HOUR + timedelta(hours=12), granularity=Granularity.HOUR
    )
    return {(int((row.start - HOUR) / hours.HOUR), row.metric): row.value for row in cells(found)}


async def rolled(site_id: UUID) -> list[tuple[str, int]]:
    """The site's rows in `hourly_counts`."""
    client = await clickhouse.client()
    statement = """
        SELECT metric, value FROM hourly_counts FINAL
        WHERE site_id = {site:UUID} AND dimension = '' ORDER BY ALL
    """
    result = await client.query(statement, {"site": site_id})
    return [(str(metric), int(value)) for metric, value in result.result_rows]


async def test_a_completed_hour_is_rolled_up_and_reads_the_same() -> None:
    site_id = new_id()
    await raw_events.insert(
        [
            raw_event(site_id, "shown", 0),
            raw_event(site_id, "shown", 59.99),
            raw_event(site_id, "clicked", 30),
            raw_event(site_id, "shown", 60),
        ]
    )
    before = await read(site_id)

    await roll_up_all()

    assert before == await read(site_id) == {(0, "shown"): 2, (0, "clicked"): 1, (1, "shown"): 1}
    assert await rolled(site_id) == [("clicked", 1), ("shown", 1), ("shown", 2)]


async def test_rolling_twice_leaves_the_same_numbers() -> None:
    site_id = new_id()
    rows = [raw_event(site_id, "shown", minute) for minute in range(10)]
    await raw_events.insert(rows)
    await roll_up_all()
    once = await rolled(site_id)

    await rollups.roll([HOUR])
    await rollups.roll([HOUR])
    assert HOUR not in await rollups.hours_to_roll()
    await roll_up_all()

    assert once == await rolled(site_id) == [("shown", 10)]
    assert await read(site_id) == {(0, "shown"): 10}


async def test_a_late_event_reopens_its_hour_until_the_next_rollup() -> None:
    site_id = new_id()
    await raw_events.insert([raw_event(site_id, "shown", 1)])
    await roll_up_all()

    await raw_events.insert([raw_event(site_id, "shown", 2), raw_event(site_id, "dismissed", 3)])
    late = await read(site_id)
    assert await rolled(site_id) == [("shown", 1)]
    await roll_up_all()

    assert late == await read(site_id) == {(0, "shown"): 2, (0, "dismissed"): 1}
    assert await rolled(site_id) == [("dismissed", 1), ("shown", 2)]


async def test_a_repeated_insert_counts_once_before_and_after_the_rollup() -> None:
    site_id = new_id()
    rows = [raw_event(site_id, "shown", minute) for minute in range(5)]
    await raw_events.insert(rows)
    await roll_up_all()

    await raw_events.insert(rows)
    assert await read(site_id) == {(0, "shown"): 5}
    await roll_up_all()

    assert await read(site_id) == {(0, "shown"): 5}


async def test_the_current_hour_is_read_and_not_rolled_up() -> None:
    site_id, now = new_id(), datetime.now(UTC)
    await raw_events.insert([RawEvent(site_id, "shown", now, new_id(), None, None, now)])

    await roll_up_all()

    with pytest.raises(ValueError, match="is not over"):
        await rollups.roll([HOUR, hours.start_of_hour(now)])

    assert await rolled(site_id) == []
    assert list((await read(site_id)).values()) == [1]


async def daily_counts(site_id: UUID, dimension: Dimension | None = None) -> dict[str, int]:
    """Counts of HOUR's day and the next, by key or metric."""
    day = HOUR.replace(hour=0)
    found = await get_counts(
        [site_id], day, day + timedelta(days=2), granularity=Granularity.DAY, dimension=dimension
    )
    return {row.key or row.metric: row.value for row in cells(found)}


async def rolled_bytes(site_id: UUID, table: str) -> bytes:
    """All rows of a rollup table without their versions."""
    client = await clickhouse.client()
    return await client.raw_query(
        f"SELECT * EXCEPT version FROM {table} FINAL"  # noqa: S608 - our own names
        " WHERE site_id = {site:UUID} ORDER BY ALL FORMAT Native",
        {"site": site_id},
    )


async def optimize(*tables: str) -> None:
    client = await clickhouse.client()
    for table in tables:
        await client.command(f"OPTIMIZE TABLE {table} FINAL")


async def test_a_repeated_rollup_leaves_the_same_bytes() -> None:
    site_id = new_id()
    rows = [raw_event(site_id, "shown", minute)._replace(page="/hats") for minute in range(9)]
    await raw_events.insert(rows)
    await rollups.roll([HOUR])
    once = await rolled_bytes(site_id, "hourly_counts")

    await raw_events.insert(rows)
    await rollups.roll([HOUR])
    again = await rolled_bytes(site_id, "hourly_counts")
    await optimize("raw_events", "hourly_counts", "rolled_hours")

    assert b"/hats" in once
    assert once == again == await rolled_bytes(site_id, "hourly_counts")
    assert await daily_counts(site_id, Dimension.PAGE) == {"/hats": 9}


async def test_a_changed_key_is_no_longer_counted() -> None:
    site_id = new_id()
    row = raw_event(site_id, "shown", 1)._replace(page="/hats")
    await raw_events.insert([row])
    await rollups.roll([HOUR])

    await raw_events.insert([row._replace(page="/shoes")])
    await rollups.roll([HOUR])

    assert await daily_counts(site_id, Dimension.PAGE) == {"/shoes": 1}


async def test_a_crashed_rollup_changes_no_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site_id, mark = new_id(), rollups._mark
    row = raw_event(site_id, "shown", 1)
    await raw_events.insert([row])
    await rollups.roll([HOUR])

    async def only_open(hours: Collection[datetime], *, closed: bool, version: int) -> None:
        if closed:
            raise ConnectionError
        await mark(hours, closed=closed, version=version)

    monkeypatch.setattr(rollups, "_mark", only_open)
    with pytest.raises(ConnectionError):
        await rollups.roll([HOUR])
    await optimize("hourly_counts", "rolled_hours")  # deletes rows of the first rollup
    after = await read(site_id)
    monkeypatch.undo()
    await roll_up_all()

    assert after == await read(site_id) == {(0, "shown"): 1}


async def test_a_rollup_inserted_twice_counts_once() -> None:
    site_id = new_id()
    await raw_events.insert([raw_event(site_id, "shown", minute) for minute in range(3)])
    await rollups.roll([HOUR])
    client = await clickhouse.client()

    await client.command("SYSTEM STOP MERGES hourly_counts")
    await client.command(
        "INSERT INTO hourly_counts SELECT * FROM hourly_counts WHERE site_id = {site:UUID}",
        {"site": site_id},
    )
    twice = await read(site_id)
    await client.command("SYSTEM START MERGES hourly_counts")

    assert twice == {(0, "shown"): 3}
