"""The README's "path of one order", compared with the path that one order takes through a stack."""

import ast
import time
from datetime import UTC, datetime

import httpx
import pytest

from deploy.local.demo.merchant import Shop
from deploy.local.demo.shopify import deliver, demo_orders
from deploy.local.demo.subscriber import subscribe_to_claims
from deploy.local.demo.visitor import visit
from tests.fixtures.deadline import eventually
from tests.journeys.conftest import Running
from tests.journeys.order_recorder.sitecustomize import functions
from tests.journeys.recording import ROOT, Record, python_stops, read_records, readme_stops

pytestmark = pytest.mark.one_gateway

LAST_STOP = "snippet/src/toast.ts: show"


@pytest.mark.parametrize("stop", python_stops())
def test_every_stop_is_one_function(stop: str) -> None:
    path, _, name = stop.partition(": ")

    assert len(functions(ast.parse((ROOT / path).read_text()), [name])) == 1


async def test_an_order_passes_the_stops_in_the_order_of_the_readme(
    running: Running, public: httpx.AsyncClient, shop: Shop
) -> None:
    (order,) = demo_orders(1, until=datetime.now(UTC))
    async with visit(f"{running.url}/demo/shop.html?key={shop.site_key}") as visitor:
        await visitor.wait_for("ready", seconds=15)
        async with subscribe_to_claims(running.url, shop.site_key) as claims:
            sent = await _wait_for_quiet(running)
            response = await deliver(public, shop.hook_url, shop.hook_secret, order)
            claim = await anext(claims)
        shown = await visitor.wait_for("shown", claim["id"], seconds=15)

    async def passed() -> list[Record]:
        first = {record.stop: record for record in reversed(_records_since(running, sent))}
        return sorted(first.values())

    stops = await eventually(passed, lambda found: len(found) == len(python_stops()))
    assert response.status_code == 200
    assert [record.stop for record in stops] + [LAST_STOP] == readme_stops()
    assert shown > stops[-1].time


async def _wait_for_quiet(running: Running) -> float:
    """Wait until no event was on its way for a second; returns the time."""

    async def is_quiet() -> bool:
        return not _records_since(running, time.time() - 1)

    await eventually(is_quiet, bool, seconds=30)
    return time.time()


def _records_since(running: Running, moment: float) -> list[Record]:
    return [record for record in read_records(running.records) if record.time >= moment]
