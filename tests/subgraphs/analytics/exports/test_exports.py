"""Exports: permissions, content of the file, and expiry."""

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
from tests.subgraphs.analytics.exports.export_requests import (
    DAY,
    FIND,
    START,
    download,
    exports_of,
    get_export,
    request_export,
    run_job,
    start_export,
)
from tests.workers.archive.archiving import add, names_in_s3

pytestmark = pytest.mark.usefixtures("stores")


async def test_ndjson_export_has_every_event_in_order() -> None:
    shop, other = await new_shop(), await new_shop()
    await add(shop, START, 5)
    await add(other, START, 5)

    export_id = await start_export(shop)
    await run_job(export_id)

    export = await get_export(shop, export_id)
    file = await download(export["url"])
    lines = [json.loads(line) for line in file.splitlines()]
    assert (export["status"], export["progress"], export["rows"]) == ("READY", 1.0, 10)
    assert export["bytes"] == len(file)
    assert export["types"] is None
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


async def test_export_is_limited_to_the_requested_types_and_range() -> None:
    shop = await new_shop()
    await add(shop, START - timedelta(seconds=3), 9)

    export_id = await start_export(
        shop,
        types=["order.created", "claim.shown"],
        end=(START + timedelta(seconds=3)).isoformat(),
    )
    await run_job(export_id)

    file = await download((await get_export(shop, export_id))["url"])
    lines = [json.loads(line) for line in file.splitlines()]
    assert [(line["type"], line["occurredAt"]) for line in lines] == [
        ("order.created", f"{DAY}T00:00:00.039Z"),
        ("claim.shown", f"{DAY}T00:00:01.000Z"),
    ]


async def test_csv_escapes_formulas() -> None:
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

    export_id = await start_export(shop, format="CSV")
    await run_job(export_id)

    file = (await download((await get_export(shop, export_id))["url"])).decode()
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


async def test_export_without_events_is_an_empty_file() -> None:
    shop = await new_shop()

    export_id = await start_export(shop)
    await run_job(export_id)

    export = await get_export(shop, export_id)
    assert (export["status"], export["rows"], export["bytes"]) == ("READY", 0, 0)
    assert await download(export["url"]) == b""


async def test_file_and_link_expire_after_a_week() -> None:
    shop = await new_shop()
    await add(shop, START, 1)
    export_id = await start_export(shop)
    await run_job(export_id)
    url = (await get_export(shop, export_id))["url"]
    later = datetime.now(UTC) + job.RETENTION

    await job.advance(export_id, time.monotonic() + 60, later - timedelta(minutes=1))
    assert (await get_export(shop, export_id))["status"] == "READY"
    await job.advance(export_id, time.monotonic() + 60, later + timedelta(minutes=1))

    export = await get_export(shop, export_id)
    assert (export["status"], export["url"], export["rows"]) == ("EXPIRED", None, 2)
    assert names_in_s3(f"exports/{shop.site_id}/") == []
    with pytest.raises(httpx.HTTPStatusError):
        await download(url)


async def test_second_export_of_a_site_conflicts_while_one_runs() -> None:
    shop = await new_shop()
    export_id = await start_export(shop)

    assert (await request_export(shop.owner, shop)).codes == ["CONFLICT"]
    await run_job(export_id)
    second = await start_export(shop)

    assert [one["id"] for one in await exports_of(shop)] == [str(second), str(export_id)]


async def test_only_owners_and_admins_export_and_download() -> None:
    shop, other = await new_shop(), await new_shop()
    export_id = await start_export(shop)
    await run_job(export_id)

    assert (await request_export(shop.looker, shop)).codes == ["FORBIDDEN"]
    assert (await request_export(other.owner, shop)).codes == ["NOT_FOUND"]
    assert (await request_export(shop.storefront, shop)).codes == ["FORBIDDEN"]
    assert (await request_export(NOBODY, shop)).codes == ["UNAUTHENTICATED"]
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
async def test_invalid_input_is_refused_and_creates_no_export(wrong: dict[str, Any]) -> None:
    shop = await new_shop()

    assert (await request_export(shop.owner, shop, **wrong)).codes == ["BAD_USER_INPUT"]
    assert await exports_of(shop) == []


async def test_job_exports_no_rows_of_another_account() -> None:
    """The job may read all rows, so its query checks the account as well as the site."""
    shop, other = await new_shop(), await new_shop()
    await add(other, START, 3)
    export_id = await start_export(shop)
    async with db.service_transaction() as session:
        export = await session.get_one(Export, export_id)
        export.site_id = other.site_id

    await run_job(export_id)

    assert (await get_export(shop, export_id))["rows"] == 0


def test_order_of_rows_has_no_ties() -> None:
    assert "ORDER BY occurred_at, id, type" in str(rows._ROWS)
