"""Exports over killed workers and S3 outages: each row exactly once, and no leftover objects."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from subgraphs.analytics.exports import job, rows
from subgraphs.analytics.exports.models import Export
from subgraphs.kernel import db
from subgraphs.kernel.storage import objects
from subgraphs.kernel.storage.objects import ObjectStoreError
from tests.fixtures.shop import Shop, new_shop
from tests.subgraphs.analytics.exports.export_requests import (
    START,
    download,
    get_export,
    run_job,
    start_export,
)
from tests.workers.archive.archiving import add, make_due, names_in_s3
from workers.exports import advance_all

pytestmark = pytest.mark.usefixtures("stores")


class Killed(BaseException):
    """Stands for a SIGKILL: no handler catches it."""


async def test_export_has_each_row_once_although_killed_at_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = await new_shop()
    await add(shop, START, 400, width=32_000, tables=("events",))
    monkeypatch.setattr(rows, "_FETCH_ROWS", 50)
    monkeypatch.setattr(objects, "PART_BYTES", 6 * 1024 * 1024)
    killed_at: list[tuple[str, int]] = []
    progress: list[float] = []

    def kill_around(name: str) -> None:
        work = getattr(objects, name)

        def wrapped(*arguments: Any) -> Any:
            number = arguments[2] if name == "upload_part" else 0
            if ("before " + name, number) not in killed_at:
                killed_at.append(("before " + name, number))
                raise Killed
            answer = work(*arguments)
            if ("after " + name, number) not in killed_at:
                killed_at.append(("after " + name, number))
                raise Killed
            return answer

        monkeypatch.setattr(objects, name, wrapped)

    for name in ("delete_all", "start_upload", "upload_part", "complete_upload"):
        kill_around(name)
    export_id = await start_export(shop)
    kills = 0
    while (export := await get_export(shop, export_id))["status"] != "READY":
        assert kills == len(killed_at)
        try:
            await run_job(export_id)
        except Killed:
            kills += 1
            progress.append(export["progress"])

    monkeypatch.undo()
    lines = (await download(export["url"])).splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert kills == len(killed_at)
    assert ("after upload_part", 2) in killed_at
    assert progress == sorted(progress)
    assert 0 < progress[-1] < 1
    assert len(ids) == len(set(ids)) == export["rows"] == 400
    assert sorted(ids, key=lambda id_: id_) == sorted(await ids_of(shop))
    assert names_in_s3(f"exports/{shop.site_id}/") == [f"exports/{shop.site_id}/{export_id}.ndjson"]


async def ids_of(shop: Shop) -> list[str]:
    async with db.service_transaction() as session:
        statement = text("SELECT id::text FROM events WHERE site_id = :site")
        return list(await session.scalars(statement, {"site": shop.site_id}))


async def test_export_continues_in_the_next_turn_after_its_deadline() -> None:
    shop = await new_shop()
    await add(shop, START, 3)
    export_id = await start_export(shop)

    assert await job.advance(export_id, time.monotonic() - 1) is True
    assert (await get_export(shop, export_id))["status"] == "QUEUED"
    assert await job.advance(export_id, time.monotonic() + 60) is False
    assert (await get_export(shop, export_id))["rows"] == 6


async def test_export_retries_while_s3_is_unavailable_and_fails_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unavailable(_: str) -> str:
        raise ObjectStoreError("unavailable")

    shop = await new_shop()
    export_id = await start_export(shop)
    with monkeypatch.context() as patch:
        patch.setattr(objects, "start_upload", unavailable)
        await advance_all()
        await advance_all()  # it is not due yet
        async with db.service_transaction() as session:
            export = await session.get_one(Export, export_id)
            assert (export.attempts, export.error) == (1, "ObjectStoreError: unavailable")
        for _ in range(job.MAX_ATTEMPTS - 1):
            await make_due()
            await advance_all()

    assert (await get_export(shop, export_id))["status"] == "FAILED"
    await start_export(shop)


async def test_failed_export_leaves_no_object_in_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: object) -> str:
        raise ObjectStoreError("unavailable")

    shop = await new_shop()
    await add(shop, START, 1)
    export_id = await start_export(shop)
    with monkeypatch.context() as patch:
        patch.setattr(objects, "complete_upload", unavailable)
        await run_job(export_id)
        async with db.service_transaction() as session:
            export = await session.get_one(Export, export_id)
            export.attempts = job.MAX_ATTEMPTS - 1
        patch.setattr(objects, "delete_all", unavailable)
        for _ in range(2):  # the export fails, and its upload cannot be deleted yet
            await make_due()
            await advance_all()
    assert (await get_export(shop, export_id))["status"] == "FAILED"
    assert names_in_s3(f"exports/{shop.site_id}/") != []

    await make_due()
    await advance_all()

    assert (await get_export(shop, export_id))["status"] == "FAILED"
    assert names_in_s3(f"exports/{shop.site_id}/") == []
    assert export_id not in await job.due(datetime.now(UTC) + timedelta(days=1))


async def test_deletion_of_an_expired_file_is_retried_with_backoff(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unavailable(*_: object) -> None:
        raise ObjectStoreError("unavailable")

    shop = await new_shop()
    await add(shop, START, 1)
    export_id = await start_export(shop)
    await run_job(export_id)
    expired = datetime.now(UTC) + job.RETENTION + timedelta(minutes=1)
    async with db.service_transaction() as session:
        export = await session.get_one(Export, export_id)
        export.attempts, export.next_attempt_at = 1000, expired
    assert export_id not in await job.due(expired - timedelta(seconds=1))
    assert export_id in await job.due(expired)

    with monkeypatch.context() as patch:
        patch.setattr(objects, "delete", unavailable)
        await job.advance(export_id, time.monotonic() + 60, expired)
    async with db.service_transaction() as session:
        export = await session.get_one(Export, export_id)
        assert (export.status, export.attempts, export.error) == (
            "READY",
            1001,
            "ObjectStoreError: unavailable",
        )

    await job.advance(export_id, time.monotonic() + 60, expired)
    assert (await get_export(shop, export_id))["status"] == "EXPIRED"


def test_retry_delay_doubles_up_to_an_hour() -> None:
    assert [job.retry_delay(attempts) for attempts in (1, 2, 9, 10, 1000)] == [
        timedelta(seconds=10),
        timedelta(seconds=20),
        timedelta(seconds=2560),
        timedelta(hours=1),
        timedelta(hours=1),
    ]
