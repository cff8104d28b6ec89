"""Counts read while hours and days are rolled up or opened: each event is counted exactly once."""

from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from subgraphs.analytics.clickhouse import counts, open_hours, raw_events, rollups
from subgraphs.analytics.clickhouse.metrics import Granularity
from subgraphs.analytics.clickhouse.raw_events import RawEvent
from subgraphs.kernel.errors import Unavailable
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import clickhouse
from tests.fixtures.cells import cells
from workers.rollups import roll_up_all

pytestmark = pytest.mark.usefixtures("stores")

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
HOUR = DAY + timedelta(hours=5)

Disturbance = Callable[[], Awaitable[Any]]

Read = Callable[[UUID], Awaitable[list[int]]]


def shown(site_id: UUID, minutes: int = 1) -> RawEvent:
    at = HOUR + timedelta(minutes=minutes)
    return RawEvent(site_id, "shown", at, new_id(), None, None, at)


async def by_hour(site_id: UUID) -> list[int]:
    rows = await counts.get_counts(
        [site_id], DAY, DAY + timedelta(days=1), granularity=Granularity.HOUR
    )
    return [cell.value for cell in cells(rows)]


async def by_day(site_id: UUID) -> list[int]:
    rows = await counts.get_counts(
        [site_id], DAY, DAY + timedelta(days=1), granularity=Granularity.DAY
    )
    return [cell.value for cell in cells(rows)]


async def summed(site_id: UUID) -> list[int]:
    rows = await counts.get_totals([site_id], DAY, DAY + timedelta(days=1))
    return [total.value for total in rows]


EVERY_READ = pytest.mark.parametrize("read", [by_hour, by_day, summed])


@contextmanager
def disturbed_reads(
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: Disturbance | None = None,
    after: Disturbance | None = None,
) -> Iterator[list[int]]:
    """Run a disturbance once, just before or after a read; yields the row count of each read."""
    read_consistently, rows, pending = open_hours.read_consistently, list[int](), [before, after]

    async def disturb(index: int) -> None:
        disturbance, pending[index] = pending[index], None
        if disturbance:
            await disturbance()

    async def disturbed(
        statement: str, start: datetime, end: datetime, read: Callable[[Any], Awaitable[Any]]
    ) -> Any:
        async def reading(opened: Any) -> Any:
            await disturb(0)
            result = await read(opened)
            await disturb(1)
            rows.append(len(result))
            return result

        return await read_consistently(statement, start, end, reading)

    with monkeypatch.context() as patched:
        patched.setattr(open_hours, "read_consistently", disturbed)
        yield rows


@EVERY_READ
@pytest.mark.parametrize("when", ["before", "after"])
async def test_hour_rolled_up_during_a_read_is_counted_once(
    monkeypatch: pytest.MonkeyPatch, read: Read, when: str
) -> None:
    site_id = new_id()
    await raw_events.insert([shown(site_id), shown(site_id)])
    assert await read(site_id) == [2]

    with disturbed_reads(monkeypatch, **{when: roll_up_all}) as rows:
        assert await read(site_id) == [2]

    assert len(rows) == 2
    assert await read(site_id) == [2]


@EVERY_READ
async def test_hour_opened_by_a_late_event_during_a_read_is_counted(
    monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    site_id = new_id()
    await raw_events.insert([shown(site_id)])
    await roll_up_all()
    assert await read(site_id) == [1]

    with disturbed_reads(monkeypatch, before=lambda: raw_events.insert([shown(site_id)])) as rows:
        assert await read(site_id) == [2]

    assert rows == [0, 1]


@EVERY_READ
async def test_hour_with_an_unfinished_rollup_is_counted(
    monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    site_id, mark = new_id(), rollups._mark
    await raw_events.insert([shown(site_id)])
    await roll_up_all()
    assert await read(site_id) == [1]

    async def only_open(hours: Collection[datetime], *, closed: bool, version: int) -> None:
        if not closed:
            await mark(hours, closed=closed, version=version)

    async def begin_rollup() -> None:
        """Write a new rollup, and merge away the rows of the previous one."""
        await rollups.roll([HOUR])
        for table in ("hourly_counts", "rolled_hours"):
            await (await clickhouse.client()).command(f"OPTIMIZE TABLE {table} FINAL")

    with (
        monkeypatch.context() as patched,
        disturbed_reads(monkeypatch, before=begin_rollup) as rows,
    ):
        patched.setattr(rollups, "_mark", only_open)
        assert await read(site_id) == [1]

    assert rows == [0, 1]


@EVERY_READ
async def test_late_event_of_an_open_hour_causes_no_second_read(
    monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    site_id = new_id()
    await raw_events.insert([shown(site_id)])
    assert await read(site_id) == [1]

    with disturbed_reads(monkeypatch, before=lambda: raw_events.insert([shown(site_id)])) as rows:
        assert await read(site_id) == [2]

    assert rows == [1]


@EVERY_READ
@pytest.mark.parametrize("hours_away", [-6, 19])
async def test_change_outside_the_range_causes_no_second_read(
    monkeypatch: pytest.MonkeyPatch, read: Read, hours_away: int
) -> None:
    site_id = new_id()
    await raw_events.insert([shown(site_id)])
    await roll_up_all()
    assert await read(site_id) == [1]

    late = shown(site_id, minutes=60 * hours_away)
    with disturbed_reads(monkeypatch, before=lambda: raw_events.insert([late])) as rows:
        assert await read(site_id) == [1]

    assert rows == [1]


@EVERY_READ
async def test_read_fails_after_too_many_changes(
    monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    site_id, read_states, statements = new_id(), open_hours._read_states, list[str]()
    await raw_events.insert([shown(site_id)])
    await roll_up_all()

    async def open_another_hour(statement: str) -> Any:
        await raw_events.insert([shown(new_id(), minutes=60 * len(statements))])
        statements.append(statement)
        return await read_states(statement)

    with monkeypatch.context() as patched:
        patched.setattr(open_hours, "_last_states", {})
        patched.setattr(open_hours, "_read_states", open_another_hour)
        with pytest.raises(Unavailable) as refused:
            await read(site_id)

    assert refused.value.message == (
        "The counts of this range are changing: try again in a few seconds."
    )
    assert len(statements) == 1 + open_hours.MAX_ATTEMPTS
    await roll_up_all()
    assert await read(site_id) == [1]


@pytest.mark.parametrize(("read", "reads"), [(by_hour, 1), (by_day, 2), (summed, 2)])
async def test_day_rolled_up_during_a_read_is_counted_once(
    monkeypatch: pytest.MonkeyPatch, read: Read, reads: int
) -> None:
    site_id = new_id()
    await raw_events.insert([shown(site_id)])
    await rollups.roll([HOUR])
    assert await read(site_id) == [1]

    with disturbed_reads(monkeypatch, after=lambda: rollups.roll_day(DAY)) as rows:
        assert await read(site_id) == [1]

    assert rows == [1] * reads
    assert await read(site_id) == [1]
