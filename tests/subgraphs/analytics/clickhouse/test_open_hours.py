"""Counts that are read while hours and days are rolled or opened: never twice, never not at all."""

from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from subgraphs.analytics.clickhouse import open_hours, rollups, store
from subgraphs.analytics.clickhouse.store import RawEvent, Step
from subgraphs.kernel.errors import Unavailable
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import clickhouse
from tests.fixtures.cells import cells
from workers.rollups import roll_up_all

pytestmark = pytest.mark.usefixtures("stores")

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
HOUR = DAY + timedelta(hours=5)

NotificationEvent = Callable[[], Awaitable[Any]]

Read = Callable[[UUID], Awaitable[list[int]]]


def shown(site_id: UUID, minutes: int = 1) -> RawEvent:
    at = HOUR + timedelta(minutes=minutes)
    return RawEvent(site_id, "shown", at, new_id(), None, None, at)


async def by_hour(site_id: UUID) -> list[int]:
    found = await store.counts([site_id], DAY, DAY + timedelta(days=1), step=Step.HOUR)
    return [cell.value for cell in cells(found)]


async def by_day(site_id: UUID) -> list[int]:
    found = await store.counts([site_id], DAY, DAY + timedelta(days=1), step=Step.DAY)
    return [cell.value for cell in cells(found)]


async def in_all(site_id: UUID) -> list[int]:
    found = await store.totals([site_id], DAY, DAY + timedelta(days=1))
    return [total.value for total in found]


EVERY_WAY = pytest.mark.parametrize("read", [by_hour, by_day, in_all])


@contextmanager
def meanwhile(
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: NotificationEvent | None = None,
    after: NotificationEvent | None = None,
) -> Iterator[list[int]]:
    """Something happens once, just before or after a read; gives how many rows each read had."""
    steady, rows, pending = open_hours.steady, list[int](), [before, after]

    async def happen(place: int) -> None:
        notification_event, pending[place] = pending[place], None
        if notification_event:
            await notification_event()

    async def disturbed(
        look: str, start: datetime, end: datetime, read: Callable[[Any], Awaitable[Any]]
    ) -> Any:
        async def reading(opened: Any) -> Any:
            await happen(0)
            found = await read(opened)
            await happen(1)
            rows.append(len(found))
            return found

        return await steady(look, start, end, reading)

    with monkeypatch.context() as patched:
        patched.setattr(open_hours, "steady", disturbed)
        yield rows


@EVERY_WAY
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_an_hour_that_is_rolled_meanwhile_counts_once(
    monkeypatch: pytest.MonkeyPatch, read: Read, moment: str
) -> None:
    site_id = new_id()
    await store.add([shown(site_id), shown(site_id)])
    assert await read(site_id) == [2]

    with meanwhile(monkeypatch, **{moment: roll_up_all}) as rows:
        assert await read(site_id) == [2]

    assert len(rows) == 2
    assert await read(site_id) == [2]


@EVERY_WAY
async def test_an_hour_that_a_late_event_opens_meanwhile_is_not_left_out(
    monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    site_id = new_id()
    await store.add([shown(site_id)])
    await roll_up_all()
    assert await read(site_id) == [1]

    with meanwhile(monkeypatch, before=lambda: store.add([shown(site_id)])) as rows:
        assert await read(site_id) == [2]

    assert rows == [0, 1]


@EVERY_WAY
async def test_an_hour_whose_rollup_stands_half_is_not_left_out(
    monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    site_id, mark = new_id(), rollups._mark
    await store.add([shown(site_id)])
    await roll_up_all()
    assert await read(site_id) == [1]

    async def only_open(hours: Collection[datetime], *, closed: bool, version: int) -> None:
        if not closed:
            await mark(hours, closed=closed, version=version)

    async def begin() -> None:
        """Its rows take the place of those that were read until now."""
        await rollups.roll([HOUR])
        for table in ("hourly_counts", "rolled_hours"):
            await (await clickhouse.client()).command(f"OPTIMIZE TABLE {table} FINAL")

    with monkeypatch.context() as patched, meanwhile(monkeypatch, before=begin) as rows:
        patched.setattr(rollups, "_mark", only_open)
        assert await read(site_id) == [1]

    assert rows == [0, 1]


@EVERY_WAY
async def test_late_events_of_an_open_hour_have_nothing_read_again(
    monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    site_id = new_id()
    await store.add([shown(site_id)])
    assert await read(site_id) == [1]

    with meanwhile(monkeypatch, before=lambda: store.add([shown(site_id)])) as rows:
        assert await read(site_id) == [2]

    assert rows == [1]


@EVERY_WAY
@pytest.mark.parametrize("hours_away", [-6, 19])
async def test_an_hour_out_of_the_range_has_nothing_read_again(
    monkeypatch: pytest.MonkeyPatch, read: Read, hours_away: int
) -> None:
    site_id = new_id()
    await store.add([shown(site_id)])
    await roll_up_all()
    assert await read(site_id) == [1]

    late = shown(site_id, minutes=60 * hours_away)
    with meanwhile(monkeypatch, before=lambda: store.add([late])) as rows:
        assert await read(site_id) == [1]

    assert rows == [1]


@EVERY_WAY
async def test_hours_that_are_opened_without_end_end_the_count(
    monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    site_id, look, looks = new_id(), open_hours._look, list[str]()
    await store.add([shown(site_id)])
    await roll_up_all()

    async def opened_meanwhile(statement: str) -> Any:
        await store.add([shown(new_id(), minutes=60 * len(looks))])
        looks.append(statement)
        return await look(statement)

    with monkeypatch.context() as patched:
        patched.setattr(open_hours, "_seen", {})
        patched.setattr(open_hours, "_look", opened_meanwhile)
        with pytest.raises(Unavailable) as refused:
            await read(site_id)

    assert refused.value.message == (
        "The numbers of this time change too fast just now: try again in a moment."
    )
    assert len(looks) == 1 + open_hours.TRIES
    await roll_up_all()
    assert await read(site_id) == [1]


@pytest.mark.parametrize(("read", "reads"), [(by_hour, 1), (by_day, 2), (in_all, 2)])
async def test_a_day_that_is_rolled_meanwhile_counts_once(
    monkeypatch: pytest.MonkeyPatch, read: Read, reads: int
) -> None:
    site_id = new_id()
    await store.add([shown(site_id)])
    await rollups.roll([HOUR])
    assert await read(site_id) == [1]

    with meanwhile(monkeypatch, after=lambda: rollups.roll_day(DAY)) as rows:
        assert await read(site_id) == [1]

    assert rows == [1] * reads
    assert await read(site_id) == [1]
