"""The ledger's monthly partitions on the real PostgreSQL: created ahead and on demand, dropped.

With TimescaleDB, `events` has chunks instead.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from subgraphs.analytics import ledger
from subgraphs.analytics.ledger import NotificationEvent
from subgraphs.kernel import db
from subgraphs.kernel.ids import derived_id, new_id
from tests.fixtures.active_shop import open_shop
from tests.workers.stream.ledgers import rows
from workers.partitions import make_months

pytestmark = pytest.mark.usefixtures("stores")


def shown_event(at: datetime) -> NotificationEvent:
    """A `shown` event at a site of its own."""
    site_id = new_id()
    return NotificationEvent(
        at, derived_id(at, site_id), new_id(), site_id, new_id(), new_id(), "shown", at
    )


async def add(*notification_events: NotificationEvent) -> list[NotificationEvent]:
    async with db.service_transaction() as session:
        return await ledger.add_notification_events(session, notification_events)


async def months_of(table: str) -> dict[str, tuple[datetime, datetime]]:
    found = await rows("SELECT * FROM partitions_of(:parent)", parent=table)
    return {name: (start, end) for name, start, end in found}


async def partitioned() -> list[str]:
    """The tables with our own monthly partitions."""
    ((is_hypertable,),) = await rows("SELECT is_hypertable('events')")
    return ["notification_events"] if is_hypertable else ["events", "notification_events"]


async def drop(table: str, partition: str) -> None:
    async with db.service_transaction() as session:
        await session.execute(
            text("SELECT drop_partition(:table, :partition)"),
            {"table": table, "partition": partition},
        )


async def test_this_month_and_two_more_are_created_once() -> None:
    await make_months(datetime(2031, 11, 30, 23, 59, tzinfo=UTC))
    await make_months(datetime(2031, 11, 30, 23, 59, tzinfo=UTC))

    for table in await partitioned():
        months = await months_of(table)
        made = {name: months[name] for name in months if months[name][0].year in (2031, 2032)}
        assert made == {
            f"{table}_2031_11": (month_start(2031, 11), month_start(2031, 12)),
            f"{table}_2031_12": (month_start(2031, 12), month_start(2032, 1)),
            f"{table}_2032_01": (month_start(2032, 1), month_start(2032, 2)),
        }


async def test_a_row_creates_its_month_and_is_stored_there() -> None:
    last = shown_event(month_start(2022, 3) - timedelta(milliseconds=1))
    first = shown_event(month_start(2022, 3))

    assert await add(first, last) == [first, last]

    stored = await rows(
        "SELECT tableoid::regclass::text, id FROM notification_events WHERE id = ANY(:ids)",
        ids=[first.id, last.id],
    )
    assert {id_: name.rsplit("_", 1)[0] for name, id_ in stored} == {
        last.id: "notification_events_2022_02",
        first.id: "notification_events_2022_03",
    }


async def test_an_order_of_an_old_month_creates_its_partition() -> None:
    shop = await open_shop()
    order = shop.order(placed=datetime(2024, 5, 6, tzinfo=UTC))

    async with db.service_transaction() as session:
        assert await ledger.add_events(session, [order, order]) == [order]
    async with db.service_transaction() as session:
        assert await ledger.add_events(session, [order]) == []

    ((name,),) = await rows(
        "SELECT tableoid::regclass::text FROM events WHERE site_id = :site", site=shop.site_id
    )
    start, end = (await months_of("events"))[name]
    assert start <= order.occurred_at < end


async def test_concurrent_writers_create_the_same_months() -> None:
    batches = [[shown_event(month_start(2023, month)) for month in (1, 2, 3)] for _ in range(6)]

    added = await asyncio.gather(*(add(*batch) for batch in batches))

    assert list(added) == batches
    assert await rows(
        "SELECT count(*) FROM notification_events WHERE id = ANY(:ids)",
        ids=[row.id for batch in batches for row in batch],
    ) == [(18,)]


async def test_stored_rows_are_not_returned_and_not_counted_again() -> None:
    stored_before, new = shown_event(month_start(2022, 11)), shown_event(month_start(2022, 11))
    await add(stored_before)

    assert await add(stored_before, new, new) == [new]

    for row in (stored_before, new):
        assert await rows(
            "SELECT metric, value FROM counters WHERE site_id = :site", site=row.site_id
        ) == [("shown", 1)]


async def test_a_partition_is_dropped_by_its_name_alone() -> None:
    kept, dropped = shown_event(month_start(2021, 5)), shown_event(month_start(2021, 6))
    await add(kept, dropped)

    await drop("notification_events", "notification_events_2021_06")

    assert "notification_events_2021_06" not in await months_of("notification_events")
    assert await rows(
        "SELECT id FROM notification_events WHERE id = ANY(:ids)", ids=[kept.id, dropped.id]
    ) == [(kept.id,)]
    for table, name in (
        ("notification_events", "notification_events_2021_06"),
        ("notification_events", f"events_{datetime.now(UTC):%Y_%m}"),
        ("sites", "sites"),
    ):
        with pytest.raises(Exception, match="is no partition of"):
            await drop(table, name)


def month_start(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


@pytest.mark.parametrize("stored_before", [0, 1, ledger.MIN_COPY_ROWS])
async def test_many_rows_are_added_and_counted_once(stored_before: int) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    site = shown_event(at)
    rows_ = [site._replace(id=new_id()) for _ in range(2 * ledger.MIN_COPY_ROWS)]
    assert await add(*rows_[:stored_before]) == rows_[:stored_before]

    assert await add(*rows_) == rows_[stored_before:]

    assert await stored(site) == (len(rows_), [("shown", len(rows_))])


async def test_many_rows_of_two_months_one_of_them_missing() -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    site = shown_event(at)
    rows_ = [site._replace(id=new_id()) for _ in range(ledger.MIN_COPY_ROWS)]
    rows_ += [row._replace(id=new_id(), created_at=month_start(2020, 7)) for row in rows_]

    assert await add(*rows_) == rows_

    assert await stored(site) == (len(rows_), [("shown", len(rows_))])


async def test_concurrent_copies_of_the_same_rows_add_them_once() -> None:
    for month in range(1, 13):
        site = shown_event(month_start(2020, month))
        rows_ = [site._replace(id=new_id()) for _ in range(2 * ledger.MIN_COPY_ROWS)]

        added = await asyncio.gather(add(*rows_), add(*reversed(rows_)))

        assert sorted(len(each) for each in added) == [0, len(rows_)]
        assert await stored(site) == (len(rows_), [("shown", len(rows_))])


async def stored(of: NotificationEvent) -> tuple[int, list[tuple[str, int]]]:
    """The number of rows of its site, and its counters."""
    ((count,),) = await rows(
        "SELECT count(*) FROM notification_events WHERE site_id = :site", site=of.site_id
    )
    return count, await rows(
        "SELECT metric, value FROM counters WHERE site_id = :site", site=of.site_id
    )
