"""Exports over deaths, and while S3 is away: no line is lost or twice, nothing stays behind."""

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
from tests.subgraphs.analytics.exports.exporting import START, fetch, find, make, start
from tests.workers.archive.archiving import add, make_due, names_in_s3
from workers.exports import advance_all

pytestmark = pytest.mark.usefixtures("stores")


class Killed(BaseException):
    """As a SIGKILL: nobody handles it."""


async def test_killed_at_every_step_no_line_is_lost_or_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = await new_shop()
    await add(shop, START, 400, width=32_000, tables=("events",))
    monkeypatch.setattr(rows, "_FETCH_ROWS", 50)
    monkeypatch.setattr(objects, "PART_BYTES", 6 * 1024 * 1024)
    met: list[tuple[str, int]] = []
    progress: list[float] = []

    def deadly(name: str) -> None:
        work = getattr(objects, name)

        def wrapped(*arguments: Any) -> Any:
            number = arguments[2] if name == "upload_part" else 0
            if ("before " + name, number) not in met:
                met.append(("before " + name, number))
                raise Killed
            answer = work(*arguments)
            if ("after " + name, number) not in met:
                met.append(("after " + name, number))
                raise Killed
            return answer

        monkeypatch.setattr(objects, name, wrapped)

    for name in ("delete_all", "start_upload", "upload_part", "complete_upload"):
        deadly(name)
    export_id = await start(shop)
    deaths = 0
    while (found := await find(shop, export_id))["status"] != "READY":
        assert deaths == len(met)
        try:
            await make(export_id)
        except Killed:
            deaths += 1
            progress.append(found["progress"])

    monkeypatch.undo()
    lines = (await fetch(found["url"])).splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert deaths == len(met)
    assert ("after upload_part", 2) in met
    assert progress == sorted(progress)
    assert 0 < progress[-1] < 1
    assert len(ids) == len(set(ids)) == found["rows"] == 400
    assert sorted(ids, key=lambda id_: id_) == sorted(await ids_of(shop))
    assert names_in_s3(f"exports/{shop.site_id}/") == [f"exports/{shop.site_id}/{export_id}.ndjson"]


async def ids_of(shop: Shop) -> list[str]:
    async with db.service_transaction() as session:
        statement = text("SELECT id::text FROM events WHERE site_id = :site")
        return list(await session.scalars(statement, {"site": shop.site_id}))


async def test_a_long_export_goes_on_in_another_turn() -> None:
    shop = await new_shop()
    await add(shop, START, 3)
    export_id = await start(shop)

    assert await job.advance(export_id, time.monotonic() - 1) is True
    assert (await find(shop, export_id))["status"] == "QUEUED"
    assert await job.advance(export_id, time.monotonic() + 60) is False
    assert (await find(shop, export_id))["rows"] == 6


async def test_while_s3_is_away_an_export_waits_and_at_last_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(_: str) -> str:
        raise ObjectStoreError("away")

    shop = await new_shop()
    export_id = await start(shop)
    with monkeypatch.context() as patch:
        patch.setattr(objects, "start_upload", away)
        await advance_all()
        await advance_all()  # it is not due yet
        async with db.service_transaction() as session:
            found = await session.get_one(Export, export_id)
            assert (found.attempts, found.error) == (1, "ObjectStoreError: away")
        for _ in range(job.MOST_ATTEMPTS - 1):
            await make_due()
            await advance_all()

    assert (await find(shop, export_id))["status"] == "FAILED"
    await start(shop)


async def test_of_an_export_that_failed_s3_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> str:
        raise ObjectStoreError("away")

    shop = await new_shop()
    await add(shop, START, 1)
    export_id = await start(shop)
    with monkeypatch.context() as patch:
        patch.setattr(objects, "complete_upload", away)
        await make(export_id)
        async with db.service_transaction() as session:
            found = await session.get_one(Export, export_id)
            found.attempts = job.MOST_ATTEMPTS - 1
        patch.setattr(objects, "delete_all", away)
        for _ in range(2):  # it fails, and what there is of it cannot be deleted yet
            await make_due()
            await advance_all()
    assert (await find(shop, export_id))["status"] == "FAILED"
    assert names_in_s3(f"exports/{shop.site_id}/") != []

    await make_due()
    await advance_all()

    assert (await find(shop, export_id))["status"] == "FAILED"
    assert names_in_s3(f"exports/{shop.site_id}/") == []
    assert export_id not in await job.due(datetime.now(UTC) + timedelta(days=1))


async def test_a_file_that_cannot_be_deleted_is_tried_again_without_hurry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object) -> None:
        raise ObjectStoreError("away")

    shop = await new_shop()
    await add(shop, START, 1)
    export_id = await start(shop)
    await make(export_id)
    over = datetime.now(UTC) + job.KEPT + timedelta(minutes=1)
    async with db.service_transaction() as session:
        found = await session.get_one(Export, export_id)
        found.attempts, found.next_attempt_at = 1000, over
    assert export_id not in await job.due(over - timedelta(seconds=1))
    assert export_id in await job.due(over)

    with monkeypatch.context() as patch:
        patch.setattr(objects, "delete", away)
        await job.advance(export_id, time.monotonic() + 60, over)
    async with db.service_transaction() as session:
        found = await session.get_one(Export, export_id)
        assert (found.status, found.attempts, found.error) == (
            "READY",
            1001,
            "ObjectStoreError: away",
        )

    await job.advance(export_id, time.monotonic() + 60, over)
    assert (await find(shop, export_id))["status"] == "EXPIRED"


def test_waiting_grows_to_an_hour() -> None:
    assert [job.pause(attempts) for attempts in (1, 2, 9, 10, 1000)] == [
        timedelta(seconds=10),
        timedelta(seconds=20),
        timedelta(seconds=2560),
        timedelta(hours=1),
        timedelta(hours=1),
    ]
