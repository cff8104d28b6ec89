"""A merchant exports events through the public port and downloads the file from its link."""

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
EXPORT_BY_ID = "query($id: ID!) { export(id: $id) { status progress rows bytes url } }"
EXPORTS_OF_SITE = """
query($id: ID!) {
  site(id: $id) { name exports { edges { node { id } } } archives { edges { node { id } } } }
}"""


async def test_orders_are_exported_as_a_file(
    public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop
) -> None:
    orders = list(demo_orders(3, until=datetime.now(UTC)))
    for order in orders:
        await deliver(public, shop.hook_url, shop.hook_secret, order)
    await eventually(lambda: counted(merchant, shop), lambda totals: totals["published"] == 3)

    now = datetime.now(UTC)
    span = {"start": (now - timedelta(days=2)).isoformat(), "end": now.isoformat()}
    export_input = {"siteId": shop.site_id, **span, "format": "CSV", "types": ["order.created"]}
    created = (await merchant.execute(EXPORT, {"input": export_input}))["exportEvents"]

    async def current() -> dict[str, Any]:
        export: dict[str, Any] = (await merchant.execute(EXPORT_BY_ID, {"id": created["id"]}))[
            "export"
        ]
        return export

    export = await eventually(current, lambda export: export["status"] == "READY", seconds=30)
    async with httpx.AsyncClient(trust_env=False) as client:
        file = (await client.get(export["url"])).raise_for_status()
    lines = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert (export["progress"], export["rows"], export["bytes"]) == (1.0, 3, len(file.content))
    assert [line["type"] for line in lines] == ["order.created"] * 3
    assert sorted(line["occurredAt"] for line in lines) == [line["occurredAt"] for line in lines]
    assert file.headers["content-disposition"].startswith('attachment; filename="events-')

    site = (await merchant.execute(EXPORTS_OF_SITE, {"id": shop.site_id}))["site"]
    assert site == {
        "name": "Shoes",
        "exports": {"edges": [{"node": {"id": created["id"]}}]},
        "archives": {"edges": []},
    }
    other = await new_merchant(public)
    with pytest.raises(ApiError, match="No export with this ID"):
        await other.execute(EXPORT_BY_ID, {"id": created["id"]})
    with pytest.raises(ApiError, match="No site with this ID"):
        await other.execute(EXPORT, {"input": export_input})
