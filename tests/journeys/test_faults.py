"""Killed processes: no event is lost or counted twice, and the supervisor restarts each process."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from random import Random
from typing import Any

import httpx
import pytest

from deploy.local.demo.merchant import DemoMerchant, Shop
from deploy.local.demo.shopify import deliver, order
from deploy.local.demo.subscriber import subscribe_to_claims
from tests.fixtures.deadline import eventually
from tests.journeys.conftest import Running, claims_of, counted
from tests.journeys.test_repeats import send_all

ORDERS = 200

GATEWAY_PROCESSES = ("router", "subgraphs")
"""The processes by which the two stacks differ; see `test_a_killed_process_comes_back…`."""

PROCESSES = [
    "postgres",
    "valkey",
    "clickhouse",
    "authz",
    "subgraphs",
    "inbox",
    "ingest",
    "live",
    "router",
    "pages",
    "stream-worker",
    "celery",
    "archiver",
    "beat",
    "s3",
    "envoy",
]


@pytest.mark.one_gateway
async def test_a_killed_stream_worker_loses_and_doubles_no_claim(
    running: Running, public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop
) -> None:
    received: list[dict[str, Any]] = []
    async with subscribe_to_claims(running.url, shop.site_key, after="0-0") as claims:
        sending = asyncio.create_task(send_all(public, shop, ORDERS))
        async with asyncio.timeout(90):
            async for claim in claims:
                received.append(claim)
                if len(received) == ORDERS // 3:
                    running.kill("stream-worker")
                if len(received) == ORDERS:
                    break
    await sending

    stored = await claims_of(merchant, shop)
    ids = [claim["id"] for claim in received]
    assert len(ids) == len(set(ids)) == len(stored) == ORDERS
    assert {claim["id"]: claim["cursor"] for claim in stored} == {
        claim["id"]: claim["cursor"] for claim in received
    }
    cursors = [tuple(map(int, claim["cursor"].split("-"))) for claim in received]
    assert cursors == sorted(cursors)


def test_the_list_names_every_process_of_the_stack(running: Running) -> None:
    if running.name == "router":
        assert sorted(running.stack.pids) == sorted(PROCESSES)


@pytest.mark.parametrize(
    "name",
    [
        name if name in GATEWAY_PROCESSES else pytest.param(name, marks=pytest.mark.one_gateway)
        for name in PROCESSES
    ],
)
async def test_a_killed_process_comes_back_and_the_next_order_arrives(
    running: Running, public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop, name: str
) -> None:
    if name not in running.stack.pids:
        name = {"subgraphs": "notifications", "router": "gateway"}[name]
    before = running.stack.pids[name]

    os.kill(before, signal.SIGKILL)

    await eventually(lambda: running.pid_of(name), lambda pid: pid != before, seconds=30)
    payload = order(number=1, placed=datetime.now(UTC), dice=Random(2))

    async def send() -> int:
        response = await deliver(public, shop.hook_url, shop.hook_secret, payload)
        return response.status_code

    async def receive() -> str:
        async with subscribe_to_claims(running.url, shop.site_key, after="0-0") as claims:
            async with asyncio.timeout(10):
                return str((await anext(claims))["id"])

    await eventually(send, lambda status: status == 200, seconds=30)
    claim_id = await eventually(receive, bool, seconds=30)
    stored = await eventually(lambda: claims_of(merchant, shop), bool, seconds=30)
    totals = await eventually(lambda: counted(merchant, shop), lambda it: it["published"] > 0)
    assert [claim["id"] for claim in stored] == [claim_id]
    assert (totals["orders"], totals["published"]) == (1, 1)
