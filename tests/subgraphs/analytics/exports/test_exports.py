"""Exports: who may, what is in the file, and for how long it can be had."""

import csv
import io
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from subgraphs.analytics.exports import job, rows
from subgraphs.analytics.exports.models import Export
from subgraphs.analytics.schema import schema
from subgraphs.kernel import db
from subgraphs.kernel.identity.viewer import NOBODY
from tests.fixtures.graph import run
from tests.fixtures.shop import new_shop
from tests.subgraphs.analytics.exports.exporting import (
    DAY,
    FIND,
    START,
    ask,
    exports_of,
    fetch,
    find,
    make,
    start,
)
from tests.workers.archive.archiving import add, names_in_s3

pytestmark = pytest.mark.usefixtures("stores")


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
