"""The ledger's months on the real PostgreSQL: made ahead and on demand, found, dropped.

Where it has TimescaleDB, `events` has that one's chunks instead.
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


def happened(at: datetime) -> NotificationEvent:
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
    """The tables whose months are ours."""
    ((is_hypertable,),) = await rows("SELECT is_hypertable('events')")
    return ["notification_events"] if is_hypertable else ["events", "notification_events"]


async def drop(table: str, partition: str) -> None:
    async with db.service_transaction() as session:
        await session.execute(
            text("SELECT drop_partition(:table, :partition)"),
            {"table": table, "partition": partition},
        )


async def test_this_month_and_two_more_are_there_and_making_them_again_changes_nothing() -> None:
    await make_months(datetime(2031, 11, 30, 23, 59, tzinfo=UTC))
    await make_months(datetime(2031, 11, 30, 23, 59, tzinfo=UTC))

    for table in await partitioned():
        months = await months_of(table)
        made = {name: months[name] for name in months if months[name][0].year in (2031, 2032)}
        assert made == {
            f"{table}_2031_11": (moment(2031, 11), moment(2031, 12)),
            f"{table}_2031_12": (moment(2031, 12), moment(2032, 1)),
            f"{table}_2032_01": (moment(2032, 1), moment(2032, 2)),
        }


async def test_a_row_makes_the_month_it_needs_and_lands_there() -> None:
    last = happened(moment(2022, 3) - timedelta(milliseconds=1))
    first = happened(moment(2022, 3))

    assert await add(first, last) == [first, last]

    stored = await rows(
        "SELECT tableoid::regclass::text, id FROM notification_events WHERE id = ANY(:ids)",
        ids=[first.id, last.id],
    )
    assert {id_: name.rsplit("_", 1)[0] for name, id_ in stored} == {
        last.id: "notification_events_2022_02",
        first.id: "notification_events_2022_03",
    }


async def test_an_order_of_last_year_makes_the_month_it_needs() -> None:
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


async def test_many_who_need_the_same_new_months_at_once_all_succeed() -> None:
    batches = [[happened(moment(2023, month)) for month in (1, 2, 3)] for _ in range(6)]

    added = await asyncio.gather(*(add(*batch) for batch in batches))

    assert list(added) == batches
    assert await rows(
        "SELECT count(*) FROM notification_events WHERE id = ANY(:ids)",
        ids=[row.id for batch in batches for row in batch],
    ) == [(18,)]


async def test_rows_seen_before_are_not_answered_and_not_counted_again() -> None:
    known, new = happened(moment(2022, 11)), happened(moment(2022, 11))
    await add(known)

    assert await add(known, new, new) == [new]

    for row in (known, new):
        assert await rows(
            "SELECT metric, value FROM counters WHERE site_id = :site", site=row.site_id
        ) == [("shown", 1)]


async def test_a_partition_is_dropped_by_its_name_alone() -> None:
    kept, gone = happened(moment(2021, 5)), happened(moment(2021, 6))
    await add(kept, gone)

    await drop("notification_events", "notification_events_2021_06")

    assert "notification_events_2021_06" not in await months_of("notification_events")
    assert await rows(
        "SELECT id FROM notification_events WHERE id = ANY(:ids)", ids=[kept.id, gone.id]
    ) == [(kept.id,)]
    for table, name in (
        ("notification_events", "notification_events_2021_06"),
        ("notification_events", f"events_{datetime.now(UTC):%Y_%m}"),
        ("sites", "sites"),
    ):
        with pytest.raises(Exception, match="is no partition of"):
            await drop(table, name)


def moment(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


@pytest.mark.parametrize("known", [0, 1, ledger.MIN_COPY_ROWS])
async def test_many_rows_are_added_and_counted_once_whatever_was_there(known: int) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    site = happened(at)
    rows_ = [site._replace(id=new_id()) for _ in range(2 * ledger.MIN_COPY_ROWS)]
    assert await add(*rows_[:known]) == rows_[:known]

    assert await add(*rows_) == rows_[known:]

    assert await stored(site) == (len(rows_), [("shown", len(rows_))])


async def test_many_rows_of_two_months_of_which_one_is_not_there() -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    site = happened(at)
    rows_ = [site._replace(id=new_id()) for _ in range(ledger.MIN_COPY_ROWS)]
    rows_ += [row._replace(id=new_id(), created_at=moment(2020, 7)) for row in rows_]

    assert await add(*rows_) == rows_

    assert await stored(site) == (len(rows_), [("shown", len(rows_))])


async def test_two_who_copy_the_same_rows_at_once_add_them_once() -> None:
    for month in range(1, 13):
        site = happened(moment(2020, month))
        rows_ = [site._replace(id=new_id()) for _ in range(2 * ledger.MIN_COPY_ROWS)]

        added = await asyncio.gather(add(*rows_), add(*reversed(rows_)))

        assert sorted(len(each) for each in added) == [0, len(rows_)]
        assert await stored(site) == (len(rows_), [("shown", len(rows_))])


async def stored(of: NotificationEvent) -> tuple[int, list[tuple[str, int]]]:
    """How many rows its site has, and its counters."""
    ((count,),) = await rows(
        "SELECT count(*) FROM notification_events WHERE site_id = :site", site=of.site_id
    )
    return count, await rows(
        "SELECT metric, value FROM counters WHERE site_id = :site", site=of.site_id
    )
