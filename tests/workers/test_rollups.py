"""Rollups on the real ClickHouse."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from subgraphs.analytics.clickhouse import hours, partitions, raw_events, rollups
from subgraphs.analytics.clickhouse.counts import get_counts
from subgraphs.analytics.clickhouse.metrics import Dimension, Granularity
from subgraphs.analytics.clickhouse.raw_events import RawEvent
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import clickhouse
from tests.fixtures.cells import cells
from workers.rollups import roll_up_all

pytestmark = pytest.mark.usefixtures("stores")

HOUR = hours.start_of_hour(datetime.now(UTC)) - timedelta(hours=5)


def happened(site_id: UUID, metric: str, minutes: float) -> RawEvent:
    """Something `minutes` into the hour."""
    now = datetime.now(UTC)
    return RawEvent(
        site_id, metric, HOUR + timedelta(minutes=minutes), new_id(), new_id(), new_id(), now
    )


async def read(site_id: UUID) -> dict[tuple[int, str], int]:
    """Counts by hours after HOUR and metric."""
    found = await get_counts(
        [site_id], HOUR - hours.HOUR, HOUR + timedelta(hours=12), granularity=Granularity.HOUR
    )
    return {(int((row.start - HOUR) / hours.HOUR), row.metric): row.value for row in cells(found)}


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
    await raw_events.insert(
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
    await raw_events.insert(rows)
    await roll_up_all()
    once = await rolled(site_id)

    await rollups.roll([HOUR])
    await rollups.roll([HOUR])
    assert HOUR not in await rollups.hours_to_roll()
    await roll_up_all()

    assert once == await rolled(site_id) == [("shown", 10)]
    assert await read(site_id) == {(0, "shown"): 10}


async def test_a_late_event_opens_its_hour_until_the_next_rollup() -> None:
    site_id = new_id()
    await raw_events.insert([happened(site_id, "shown", 1)])
    await roll_up_all()

    await raw_events.insert([happened(site_id, "shown", 2), happened(site_id, "dismissed", 3)])
    late = await read(site_id)
    assert await rolled(site_id) == [("shown", 1)]
    await roll_up_all()

    assert late == await read(site_id) == {(0, "shown"): 2, (0, "dismissed"): 1}
    assert await rolled(site_id) == [("dismissed", 1), ("shown", 2)]


async def test_a_repeated_insert_counts_once_before_and_after_the_rollup() -> None:
    site_id = new_id()
    rows = [happened(site_id, "shown", minute) for minute in range(5)]
    await raw_events.insert(rows)
    await roll_up_all()

    await raw_events.insert(rows)
    assert await read(site_id) == {(0, "shown"): 5}
    await roll_up_all()

    assert await read(site_id) == {(0, "shown"): 5}


async def test_the_open_hour_is_read_and_not_rolled() -> None:
    site_id, now = new_id(), datetime.now(UTC)
    await raw_events.insert([RawEvent(site_id, "shown", now, new_id(), None, None, now)])

    await roll_up_all()

    with pytest.raises(ValueError, match="is not over"):
        await rollups.roll([HOUR, hours.start_of_hour(now)])

    assert await rolled(site_id) == []
    assert list((await read(site_id)).values()) == [1]


async def told(site_id: UUID, dimension: Dimension | None = None) -> dict[str, int]:
    """Counts of the day around HOUR and the next, by the day, of each key or metric."""
    day = HOUR.replace(hour=0)
    found = await get_counts(
        [site_id], day, day + timedelta(days=2), granularity=Granularity.DAY, dimension=dimension
    )
    return {row.key or row.metric: row.value for row in cells(found)}


async def stands(site_id: UUID, table: str) -> bytes:
    """All that a rollup has left there, but for the versions."""
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


async def test_rolling_again_leaves_the_same_bytes_merged_or_not() -> None:
    site_id = new_id()
    rows = [happened(site_id, "shown", minute)._replace(page="/hats") for minute in range(9)]
    await raw_events.insert(rows)
    await rollups.roll([HOUR])
    once = await stands(site_id, "hourly_counts")

    await raw_events.insert(rows)
    await rollups.roll([HOUR])
    again = await stands(site_id, "hourly_counts")
    await optimize("raw_events", "hourly_counts", "rolled_hours")

    assert b"/hats" in once
    assert once == again == await stands(site_id, "hourly_counts")
    assert await told(site_id, Dimension.PAGE) == {"/hats": 9}


async def test_a_key_that_is_no_more_is_not_counted_any_longer() -> None:
    site_id = new_id()
    row = happened(site_id, "shown", 1)._replace(page="/hats")
    await raw_events.insert([row])
    await rollups.roll([HOUR])

    await raw_events.insert([row._replace(page="/shoes")])
    await rollups.roll([HOUR])

    assert await told(site_id, Dimension.PAGE) == {"/shoes": 1}


async def test_a_rollup_that_dies_on_its_way_spoils_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site_id, mark = new_id(), rollups._mark
    row = happened(site_id, "shown", 1)
    await raw_events.insert([row])
    await rollups.roll([HOUR])

    async def only_open(hours: Collection[datetime], *, closed: bool, version: int) -> None:
        if closed:
            raise ConnectionError
        await mark(hours, closed=closed, version=version)

    monkeypatch.setattr(rollups, "_mark", only_open)
    with pytest.raises(ConnectionError):
        await rollups.roll([HOUR])
    await optimize("hourly_counts", "rolled_hours")  # rows of the first rollup are gone
    after = await read(site_id)
    monkeypatch.undo()
    await roll_up_all()

    assert after == await read(site_id) == {(0, "shown"): 1}


async def test_rows_of_a_rollup_that_was_sent_twice_count_once() -> None:
    site_id = new_id()
    await raw_events.insert([happened(site_id, "shown", minute) for minute in range(3)])
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


async def test_a_day_is_made_of_its_hours_and_made_anew_after_a_late_event() -> None:
    site_id = new_id()
    day = hours.start_of_hour(datetime.now(UTC)).replace(hour=0) - timedelta(days=2)
    early, late = (
        happened(site_id, "shown", 1)._replace(occurred_at=day + timedelta(hours=hour))
        for hour in (3, 22)
    )
    await raw_events.insert([early])
    await roll_up_all()
    once = await stands(site_id, "daily_counts")
    assert day not in await rollups.days_to_roll()

    await raw_events.insert([late])
    assert day not in await rollups.days_to_roll()  # one of its hours is open
    before = await counted_on(site_id, day)
    await roll_up_all()

    assert before == await counted_on(site_id, day) == {"shown": 2}
    assert len(once) > 0
    assert once != await stands(site_id, "daily_counts")
    assert day not in await rollups.days_to_roll()


async def counted_on(site_id: UUID, day: datetime) -> dict[str, int]:
    found = await get_counts([site_id], day, day + timedelta(days=1), granularity=Granularity.DAY)
    return {row.metric: row.value for row in cells(found)}


async def test_an_hour_older_than_raw_events_stays_as_it_is() -> None:
    site_id, now = new_id(), datetime.now(UTC)
    ancient = hours.first_countable_hour() - timedelta(seconds=1)
    await raw_events.insert([RawEvent(site_id, "shown", ancient, new_id(), None, None, now)])

    with pytest.raises(ValueError, match="may have been deleted"):
        await rollups.roll([ancient - timedelta(days=6)])

    assert await counted_on(site_id, ancient.replace(hour=0)) == {}


async def test_a_month_that_is_over_is_merged_and_says_the_same() -> None:
    site_id, now = new_id(), datetime.now(UTC)
    then = (now - timedelta(days=60)).replace(minute=0, second=0, microsecond=0)
    for number in range(3):
        at = then + timedelta(minutes=number)
        await raw_events.insert([RawEvent(site_id, "shown", at, new_id(), None, None, now)])

    assert await partitions.merge_finished() > 0
    assert await partitions.merge_finished() == 0

    (count,) = await get_counts([site_id], then, then + hours.HOUR, granularity=Granularity.HOUR)
    assert count.values == [3]
