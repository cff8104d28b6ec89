"""Dropping complete partitions, and what waits for it."""

from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.analytics.archive import planning, removal
from subgraphs.kernel import db
from tests.fixtures.shop import Shop, new_shop
from tests.workers.archive.archiving import (
    add,
    archive_all,
    archived,
    archives_of,
    keep_for,
    month_ago,
    partition_at,
    rows_of,
)

pytestmark = pytest.mark.usefixtures("stores")


async def test_a_partition_too_large_to_compare_is_deleted_by_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shops = [await new_shop() for _ in range(4)]
    for shop in shops:
        await add(shop, month_ago(22), 500)
    before = [await rows_of(shop) for shop in shops]

    with monkeypatch.context() as patch:
        patch.setattr(removal, "COMPARE_TIMEOUT", "1ms")
        patch.setattr(removal, "_BATCH_ROWS", 1_300)  # the parts of up to four sites
        await archive_all()

    assert [await rows_of(shop) for shop in shops] == [([], [])] * 4
    assert await archives_of(shops[0], "status, rows, removed") == [("DROPPED", 2_000, 2_000)] * 2
    await planning.plan()
    assert await partition_at("events", month_ago(22)) is None
    assert [await archived(shop) for shop in shops] == before


async def test_a_long_export_delays_no_other_month() -> None:
    shop = await new_shop()
    await add_empty_partitions(shop, month_ago(26))
    await add(shop, month_ago(25), 5)
    begun = text(
        "SELECT table_name FROM archives WHERE range_start <= :at AND :at < range_end ORDER BY 1"
    )

    async with db.service_transaction() as export:
        await export.execute(text("SELECT count(*) FROM events"))
        await planning.plan()
    async with db.service_transaction() as session:
        found = list(await session.scalars(begun, {"at": month_ago(25)}))

    assert found == ["events", "notification_events"]
    assert await partition_at("events", month_ago(26)) is not None
    assert await partition_at("notification_events", month_ago(26)) is None
    await archive_all()
    assert await partition_at("events", month_ago(26)) is None
    assert await rows_of(shop) == ([], [])


async def test_a_month_with_remaining_rows_is_not_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = await new_shop()
    await keep_for(shop, 1_500)
    await add(shop, month_ago(34), 3, tables=("events",))
    filled = await partition_at("events", month_ago(34))
    tried: list[str] = []
    drop_whole = removal.drop_whole

    async def recording(connection: AsyncConnection, table: str, partition: str) -> bool:
        tried.append(partition)
        return await drop_whole(connection, table, partition)

    monkeypatch.setattr(removal, "drop_whole", recording)
    await planning.plan()

    assert f"notification_events_{month_ago(34):%Y_%m}" in tried
    assert filled is not None
    assert filled.name not in tried


async def add_empty_partitions(shop: Shop, at: datetime) -> None:
    """Add a partition of this time to each table; with TimescaleDB only a row adds one."""
    await add(shop, at, 1)
    async with db.service_transaction() as session:
        for table in ("events", "notification_events"):
            await session.execute(
                text(f"DELETE FROM {table} WHERE site_id = :site"),  # noqa: S608
                {"site": shop.site_id},
            )
