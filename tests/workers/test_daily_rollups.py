"""Daily rollups, and hours and months outside the usual range, on the real ClickHouse."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from subgraphs.analytics.clickhouse import hours, partitions, raw_events, rollups
from subgraphs.analytics.clickhouse.counts import get_counts
from subgraphs.analytics.clickhouse.metrics import Granularity
from subgraphs.analytics.clickhouse.raw_events import RawEvent
from subgraphs.kernel.ids import new_id
from tests.fixtures.cells import cells
from tests.workers.test_rollups import raw_event, rolled_bytes
from workers.rollups import roll_up_all

pytestmark = pytest.mark.usefixtures("stores")


async def test_a_day_is_rolled_up_again_after_a_late_event() -> None:
    site_id = new_id()
    day = hours.start_of_hour(datetime.now(UTC)).replace(hour=0) - timedelta(days=2)
    early, late = (
        raw_event(site_id, "shown", 1)._replace(occurred_at=day + timedelta(hours=hour))
        for hour in (3, 22)
    )
    await raw_events.insert([early])
    await roll_up_all()
    once = await rolled_bytes(site_id, "daily_counts")
    assert day not in await rollups.days_to_roll()

    await raw_events.insert([late])
    assert day not in await rollups.days_to_roll()  # one of its hours is open
    before = await counted_on(site_id, day)
    await roll_up_all()

    assert before == await counted_on(site_id, day) == {"shown": 2}
    assert len(once) > 0
    assert once != await rolled_bytes(site_id, "daily_counts")
    assert day not in await rollups.days_to_roll()


async def counted_on(site_id: UUID, day: datetime) -> dict[str, int]:
    found = await get_counts([site_id], day, day + timedelta(days=1), granularity=Granularity.DAY)
    return {row.metric: row.value for row in cells(found)}


async def test_an_hour_without_complete_raw_events_stays_as_it_is() -> None:
    site_id, now = new_id(), datetime.now(UTC)
    ancient = hours.first_countable_hour() - timedelta(seconds=1)
    await raw_events.insert([RawEvent(site_id, "shown", ancient, new_id(), None, None, now)])

    with pytest.raises(ValueError, match="may have been deleted"):
        await rollups.roll([ancient - timedelta(days=6)])

    assert await counted_on(site_id, ancient.replace(hour=0)) == {}


async def test_a_completed_month_is_merged_and_reads_the_same() -> None:
    site_id, now = new_id(), datetime.now(UTC)
    then = (now - timedelta(days=60)).replace(minute=0, second=0, microsecond=0)
    for number in range(3):
        at = then + timedelta(minutes=number)
        await raw_events.insert([RawEvent(site_id, "shown", at, new_id(), None, None, now)])

    assert await partitions.merge_finished() > 0
    assert await partitions.merge_finished() == 0

    (count,) = await get_counts([site_id], then, then + hours.HOUR, granularity=Granularity.HOUR)
    assert count.values == [3]
