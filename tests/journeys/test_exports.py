"""A merchant takes his events home, through the public port and by the link it gives."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from deploy.local.demo.merchant import ApiError, DemoMerchant, Shop
from deploy.local.demo.shopify import deliver, demo_orders
from tests.fixtures.deadline import eventually
from tests.journeys.conftest import counted, new_merchant

EXPORT = "mutation($input: ExportEventsInput!) { exportEvents(input: $input) { id status } }"
FIND = "query($id: ID!) { export(id: $id) { status progress rows bytes url } }"
OF_SITE = """
query($id: ID!) {
  site(id: $id) { name exports { edges { node { id } } } archives { edges { node { id } } } }
}"""


async def test_the_orders_of_a_morning_leave_as_a_file(
    public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop
) -> None:
    orders = list(demo_orders(3, until=datetime.now(UTC)))
    for order in orders:
        await deliver(public, shop.hook_url, shop.hook_secret, order)
    await eventually(lambda: counted(merchant, shop), lambda totals: totals["published"] == 3)

    now = datetime.now(UTC)
    span = {"start": (now - timedelta(days=2)).isoformat(), "end": now.isoformat()}
    asked = {"siteId": shop.site_id, **span, "format": "CSV", "types": ["order.created"]}
    made = (await merchant.execute(EXPORT, {"input": asked}))["exportEvents"]

    async def found() -> dict[str, Any]:
        export: dict[str, Any] = (await merchant.execute(FIND, {"id": made["id"]}))["export"]
        return export

    export = await eventually(found, lambda export: export["status"] == "READY", seconds=30)
    async with httpx.AsyncClient(trust_env=False) as anyone:
        file = (await anyone.get(export["url"])).raise_for_status()
    lines = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert (export["progress"], export["rows"], export["bytes"]) == (1.0, 3, len(file.content))
    assert [line["type"] for line in lines] == ["order.created"] * 3
    assert sorted(line["occurredAt"] for line in lines) == [line["occurredAt"] for line in lines]
    assert file.headers["content-disposition"].startswith('attachment; filename="events-')

    site = (await merchant.execute(OF_SITE, {"id": shop.site_id}))["site"]
    assert site == {
        "name": "Shoes",
        "exports": {"edges": [{"node": {"id": made["id"]}}]},
        "archives": {"edges": []},
    }
    eve = await new_merchant(public)
    with pytest.raises(ApiError, match="There is no such export"):
        await eve.execute(FIND, {"id": made["id"]})
    with pytest.raises(ApiError, match="There is no such site"):
        await eve.execute(EXPORT, {"input": asked})
