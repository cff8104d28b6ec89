"""The archive on the real PostgreSQL and S3: which rows are archived, and which stay."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive import cold_storage, lifecycle, planning, removal
from subgraphs.analytics.archive.models import Archive
from subgraphs.kernel import db
from subgraphs.kernel.storage import objects
from subgraphs.kernel.storage.advisory_locks import advisory_lock
from subgraphs.kernel.storage.objects import ObjectStoreError, uploads
from tests.fixtures.shop import new_shop
from tests.workers.archive.archiving import (
    add,
    archive_all,
    archived,
    archives_of,
    keep_for,
    make_due,
    month_ago,
    names_in_s3,
    partition_at,
    rows_of,
)
from workers.archive import advance_all

pytestmark = pytest.mark.usefixtures("stores")


async def test_a_month_past_retention_is_archived_and_dropped() -> None:
    shop, other = await new_shop(), await new_shop()
    await add(shop, month_ago(6), 30)
    await add(other, month_ago(6) + timedelta(hours=3), 20)
    await add(shop, month_ago(1), 10, first=100)
    before = await rows_of(shop), await rows_of(other)

    await archive_all()

    assert await archives_of(shop) == [
        ("events", "DROPPED", 50),
        ("notification_events", "DROPPED", 50),
    ]
    assert await partition_at("events", month_ago(6)) is None
    assert await partition_at("notification_events", month_ago(6)) is None
    left = await rows_of(shop)
    assert (len(left.events), len(left.notification_events)) == (10, 10)
    assert await rows_of(other) == ([], [])
    mine = await archived(shop)
    assert sorted(mine.events + left.events) == before[0].events
    assert (
        sorted(mine.notification_events + left.notification_events) == before[0].notification_events
    )
    assert await archived(other) == before[1]
    assert names_in_s3("staging/") == []


async def test_sites_with_longer_retention_stay_until_theirs_is_over() -> None:
    short, long = await new_shop(), await new_shop()
    await keep_for(long, 365)
    for shop in short, long:
        await add(shop, month_ago(7), 25)
    before = await rows_of(long)

    await archive_all()

    assert await rows_of(short) == ([], [])
    assert await rows_of(long) == before
    assert await archives_of(short, "retention_days, status, rows, removed") == [
        (90, "DROPPED", 25, 25),
        (90, "DROPPED", 25, 25),
    ]
    assert await archives_of(long) == []
    assert await partition_at("events", month_ago(7)) is not None

    await keep_for(long, 90)
    await archive_all()

    assert await rows_of(long) == ([], [])
    assert await archived(long) == before
    assert await partition_at("events", month_ago(7)) is None


async def test_late_rows_of_an_archived_month_make_another_part() -> None:
    shop = await new_shop()
    await add(shop, month_ago(8), 10)
    await archive_all()

    await add(shop, month_ago(8), 5, first=10)
    late = await rows_of(shop)
    await archive_all()
    await archive_all()

    # Not by part: TimescaleDB puts the late rows into a new chunk, with a part 0 of its own.
    parts = await archives_of(shop, "table_name, rows")
    assert sorted(parts) == [
        (it, rows) for it in ("events", "notification_events") for rows in (5, 10)
    ]
    assert await rows_of(shop) == ([], [])
    assert set((await archived(shop)).events) >= set(late.events)


async def test_rows_added_while_a_month_is_archived_are_not_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = await new_shop()
    await add(shop, month_ago(9), 10)
    store = cold_storage.store

    async def store_and_add_rows(session: AsyncSession, archive: Archive) -> None:
        await store(session, archive)
        if archive.table_name == "events":
            await add(shop, month_ago(9), 3, first=10)

    monkeypatch.setattr(cold_storage, "store", store_and_add_rows)
    await archive_all()
    monkeypatch.undo()

    assert len((await rows_of(shop)).events) == 3
    everything = await archived(shop)
    assert len(everything.events) == 10
    await archive_all()
    assert await rows_of(shop) == ([], [])
    assert len((await archived(shop)).events) == 13


async def test_a_corrupt_file_is_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = await new_shop()
    await add(shop, month_ago(13), 10)
    before = await rows_of(shop)
    await planning.plan()
    copy = objects.copy

    def other_bytes(*arguments: Any, **named: Any) -> str:
        copy(*arguments, **named)
        return "0" * 64

    with monkeypatch.context() as patch:
        patch.setattr(objects, "copy", other_bytes)
        await advance_all()

    assert await rows_of(shop) == before
    assert await archives_of(shop) == []
    await make_due()
    await advance_all()
    assert await rows_of(shop) == ([], [])
    assert await archived(shop) == before


async def test_while_s3_is_down_no_row_is_deleted_and_attempts_back_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = await new_shop()
    await add(shop, month_ago(14), 10)
    before = await rows_of(shop)
    await planning.plan()

    def fail(*_: object) -> str:
        raise ObjectStoreError("down")

    with monkeypatch.context() as patch:
        patch.setattr(uploads, "start_upload", fail)
        await advance_all()
        await advance_all()

    assert await rows_of(shop) == before
    async with db.service_transaction() as session:
        waiting = text(
            "SELECT table_name, status, attempts, error, next_attempt_at > now() FROM archives"
            " WHERE range_start <= :at AND :at < range_end ORDER BY 1"
        )
        found = [tuple(row) for row in await session.execute(waiting, {"at": month_ago(14)})]
    assert found == [
        (table, "PLANNED", 1, "ObjectStoreError: down", True)
        for table in ("events", "notification_events")
    ]
    await make_due()
    await advance_all()
    assert await archived(shop) == before


async def test_a_lost_staging_copy_is_fetched_from_the_archive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short, long = await new_shop(), await new_shop()
    await keep_for(long, 800)
    for shop in short, long:
        await add(shop, month_ago(15), 10)
    before = await rows_of(short)
    await planning.plan()
    store = cold_storage.store

    async def store_and_lose(session: AsyncSession, archive: Archive) -> None:
        await store(session, archive)
        objects.delete(str(archive.staging_key))

    monkeypatch.setattr(cold_storage, "store", store_and_lose)
    await advance_all()
    assert len((await rows_of(short)).events) == 10
    await make_due()
    await advance_all()

    assert await rows_of(short) == ([], [])
    assert await archived(short) == before


async def test_stored_rows_that_wait_for_deletion_are_not_archived_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short, long = await new_shop(), await new_shop()
    await keep_for(long, 1_500)
    for shop in short, long:
        await add(shop, month_ago(33), 10)
    before = await rows_of(short)
    await planning.plan()

    def fail(*_: object) -> str:
        raise ObjectStoreError("down")

    with monkeypatch.context() as patch:
        patch.setattr(removal, "fetch", fail)
        await advance_all()
        assert await archives_of(short, "part, status") == [(0, "STORED")] * 2
        await planning.plan()  # the next night
    await add(short, month_ago(33), 5, first=10)
    late = await rows_of(short)
    await make_due()
    await advance_all()
    assert await archives_of(short, "part, status, rows") == [(0, "DROPPED", 10)] * 2
    assert await archived(short) == before

    await archive_all()

    parts = [(0, "DROPPED", 10), (1, "DROPPED", 5)]
    assert await archives_of(short, "part, status, rows") == parts * 2
    assert await archived(short) == late
    assert await rows_of(short) == ([], [])


async def test_an_advisory_lock_is_held_once() -> None:
    async with (
        advisory_lock("test") as first,
        advisory_lock("test") as second,
        advisory_lock("other") as other,
    ):
        assert (first is None, second is None, other is None) == (False, True, False)
    async with advisory_lock("test") as again:
        assert again is not None


def test_the_pause_between_attempts_grows_to_six_hours() -> None:
    assert [lifecycle.retry_delay(attempts) for attempts in (1, 2, 9, 10, 1000)] == [
        timedelta(minutes=1),
        timedelta(minutes=2),
        timedelta(minutes=256),
        timedelta(hours=6),
        timedelta(hours=6),
    ]
