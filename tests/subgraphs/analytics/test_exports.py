"""Exports: who may, what is in the file, and that a killed worker's is gone on with."""

import csv
import io
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from subgraphs.analytics.exports import job, rows
from subgraphs.analytics.exports.models import Export
from subgraphs.analytics.schema import schema
from subgraphs.kernel import db, objects
from subgraphs.kernel.auth import NOBODY, Viewer
from subgraphs.kernel.objects import ObjectStoreError
from tests.fixtures.graph import Answer, run
from tests.fixtures.shop import Shop, new_shop
from tests.workers.archiving import add, make_due, names_in_s3
from workers.exports import advance_all

pytestmark = pytest.mark.usefixtures("stores")

START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
DAY = f"{START:%Y-%m-%d}"
EXPORT = """
mutation($input: ExportEventsInput!) { exportEvents(input: $input) { id status progress url } }"""
FIND = """
query($id: ID!) { export(id: $id) { status format progress rows bytes url expiresAt types } }"""
LIST = """
query($sites: [_Any!]!) {
  _entities(representations: $sites) {
    ... on Site { exports(first: 5) { edges { node { id status } } } }
  }
}"""


async def ask(viewer: Viewer, shop: Shop, **others: Any) -> Answer:
    asked = {
        "siteId": str(shop.site_id),
        "start": START.isoformat(),
        "end": (START + timedelta(days=1)).isoformat(),
        "format": "NDJSON",
        **others,
    }
    return await run(schema, viewer, EXPORT, input=asked)


async def start(shop: Shop, **others: Any) -> UUID:
    answer = await ask(shop.owner, shop, **others)
    assert answer.codes == []
    assert answer.data["exportEvents"] | {"id": ""} == {
        "id": "",
        "status": "QUEUED",
        "progress": 0.0,
        "url": None,
    }
    return UUID(answer.data["exportEvents"]["id"])


async def make(export_id: UUID) -> None:
    await job.advance(export_id, time.monotonic() + 60)


async def find(shop: Shop, export_id: UUID) -> dict[str, Any]:
    found: dict[str, Any] = (await run(schema, shop.owner, FIND, id=str(export_id))).data["export"]
    return found


async def fetch(url: str) -> bytes:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).raise_for_status().content


async def exports_of(shop: Shop) -> list[Any]:
    answer = await run(
        schema, shop.owner, LIST, sites=[{"__typename": "Site", "id": str(shop.site_id)}]
    )
    return [edge["node"] for edge in answer.data["_entities"][0]["exports"]["edges"]]


async def test_events_leave_as_lines_of_json_by_a_link() -> None:
    shop, other = await new_shop(), await new_shop()
    await add(shop, START, 5)
    await add(other, START, 5)

    export_id = await start(shop)
    await make(export_id)

    found = await find(shop, export_id)
    file = await fetch(found["url"])
    lines = [json.loads(line) for line in file.splitlines()]
    assert (found["status"], found["progress"], found["rows"]) == ("READY", 1.0, 10)
    assert found["bytes"] == len(file)
    assert found["types"] is None
    assert [line["occurredAt"] for line in lines] == sorted(line["occurredAt"] for line in lines)
    assert [line["type"] for line in lines if line["claimId"] is None] == [
        "order.created",
        "page.viewed",
        "goal.reached",
        "order.created",
        "page.viewed",
    ]
    first = next(line for line in lines if line["source"] == "shopify")
    assert first | {"id": ""} == {
        "id": "",
        "type": "order.created",
        "occurredAt": f"{DAY}T00:00:00.000Z",
        "capturedAt": f"{DAY}T00:00:00.000Z",
        "source": "shopify",
        "visitorId": None,
        "notificationId": None,
        "claimId": None,
        "page": None,
        "payload": {"n": 0, "name": 'Ånna "0"', "none": None, "price": 0.0, "text": ""},
    }


async def test_types_and_times_choose() -> None:
    shop = await new_shop()
    await add(shop, START - timedelta(seconds=3), 9)

    export_id = await start(
        shop,
        types=["order.created", "claim.shown"],
        end=(START + timedelta(seconds=3)).isoformat(),
    )
    await make(export_id)

    file = await fetch((await find(shop, export_id))["url"])
    lines = [json.loads(line) for line in file.splitlines()]
    assert [(line["type"], line["occurredAt"]) for line in lines] == [
        ("order.created", f"{DAY}T00:00:00.039Z"),
        ("claim.shown", f"{DAY}T00:00:01.000Z"),
    ]


async def test_a_spreadsheet_finds_no_formula_in_the_csv() -> None:
    shop = await new_shop()
    cells = {
        "=1+1": "'=1+1",
        "+1": "'+1",
        "-1": "'-1",
        "@x": "'@x",
        "＝1": "'＝1",
        "\t=1": "\t'=1",
        "  \r\n =1": "  \r\n '=1",
        "x;=1": "x;'=1",
        'x; "-1;@y': """x; "'-1;'@y""",
        "x\ty\n+1": "x\ty\n'+1",
        "a-b=c; d": "a-b=c; d",
        'a "quoted", cell': 'a "quoted", cell',
        "plain": "plain",
    }
    async with db.service_transaction() as session:
        for number, cell in enumerate(cells):
            await session.execute(
                text("""
                    INSERT INTO events (time, id, account_id, site_id, event_type, captured_at,
                                        source, visitor_id, payload)
                    VALUES (:time, gen_random_uuid(), :account, :site, 'page.viewed', :time, :cell,
                            :cell, '{}')"""),
                {
                    "time": START + timedelta(seconds=number),
                    "account": shop.account_id,
                    "site": shop.site_id,
                    "cell": cell,
                },
            )

    export_id = await start(shop, format="CSV")
    await make(export_id)

    file = (await fetch((await find(shop, export_id))["url"])).decode()
    table = list(csv.DictReader(io.StringIO(file, newline="")))
    assert [row["visitorId"] for row in table] == list(cells.values())
    assert file.startswith('"id","type","occurredAt",')
    assert file.endswith(',"plain","plain","","","","{}"\r\n')
    assert list(table[0]) == [
        "id",
        "type",
        "occurredAt",
        "capturedAt",
        "source",
        "visitorId",
        "notificationId",
        "claimId",
        "page",
        "payload",
    ]


async def test_an_export_of_nothing_is_an_empty_file() -> None:
    shop = await new_shop()

    export_id = await start(shop)
    await make(export_id)

    found = await find(shop, export_id)
    assert (found["status"], found["rows"], found["bytes"]) == ("READY", 0, 0)
    assert await fetch(found["url"]) == b""


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


async def test_a_file_is_kept_a_week_and_its_link_opens_nothing_then() -> None:
    shop = await new_shop()
    await add(shop, START, 1)
    export_id = await start(shop)
    await make(export_id)
    url = (await find(shop, export_id))["url"]
    later = datetime.now(UTC) + job.KEPT

    await job.advance(export_id, time.monotonic() + 60, later - timedelta(minutes=1))
    assert (await find(shop, export_id))["status"] == "READY"
    await job.advance(export_id, time.monotonic() + 60, later + timedelta(minutes=1))

    found = await find(shop, export_id)
    assert (found["status"], found["url"], found["rows"]) == ("EXPIRED", None, 2)
    assert names_in_s3(f"exports/{shop.site_id}/") == []
    with pytest.raises(httpx.HTTPStatusError):
        await fetch(url)


async def test_one_runs_at_a_time() -> None:
    shop = await new_shop()
    export_id = await start(shop)

    assert (await ask(shop.owner, shop)).codes == ["CONFLICT"]
    await make(export_id)
    second = await start(shop)

    assert [one["id"] for one in await exports_of(shop)] == [str(second), str(export_id)]


async def test_only_owners_and_administrators_export_and_fetch() -> None:
    shop, other = await new_shop(), await new_shop()
    export_id = await start(shop)
    await make(export_id)

    assert (await ask(shop.looker, shop)).codes == ["FORBIDDEN"]
    assert (await ask(other.owner, shop)).codes == ["NOT_FOUND"]
    assert (await ask(shop.storefront, shop)).codes == ["FORBIDDEN"]
    assert (await ask(NOBODY, shop)).codes == ["UNAUTHENTICATED"]
    assert [one["id"] for one in await exports_of(shop)] == [str(export_id)]
    assert await exports_of(other) == []
    seen = await run(schema, shop.looker, FIND, id=str(export_id))
    assert (seen.data["export"]["status"], seen.data["export"]["url"]) == ("READY", None)
    for id_ in str(export_id), str(uuid4()), "no id":
        assert (await run(schema, other.owner, FIND, id=id_)).codes == ["NOT_FOUND"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": f"{DAY}T00:00:00"},
        {"end": START.isoformat()},
        {"end": (START + timedelta(days=367)).isoformat()},
        {"types": []},
        {"types": [""]},
        {"types": ["x"] * 21},
        {"types": ["a\0"]},
        {"types": ["x" * 101]},
        {"start": "0001-01-01T00:00:00+01:00", "end": "0001-01-02T00:00:00+01:00"},
        {"start": "9999-12-31T00:00:00-01:00", "end": "9999-12-31T23:59:59-01:00"},
        {"end": "9999-12-31T24:00:00Z"},
        {"format": "XLSX"},
    ],
)
async def test_what_makes_no_sense_is_the_callers_error(wrong: dict[str, Any]) -> None:
    shop = await new_shop()

    assert (await ask(shop.owner, shop, **wrong)).codes == ["BAD_USER_INPUT"]
    assert await exports_of(shop) == []
    assert await exports_of(shop) == []


async def test_an_account_gets_no_others_rows_even_if_the_row_says_so() -> None:
    """The second wall of the job, which itself may see all rows."""
    shop, other = await new_shop(), await new_shop()
    await add(other, START, 3)
    export_id = await start(shop)
    async with db.service_transaction() as session:
        found = await session.get_one(Export, export_id)
        found.site_id = other.site_id

    await make(export_id)

    assert (await find(shop, export_id))["rows"] == 0


def test_the_order_of_lines_has_no_ties() -> None:
    assert "ORDER BY occurred_at, id, type" in str(rows._LINES)
