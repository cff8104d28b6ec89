"""Killed processes: nothing is lost, nothing is doubled, and the stack mends itself."""

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
    "s3",
    "beat",
    "envoy",
]


async def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(
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


def test_every_process_of_the_stack_is_killed_below(running: Running) -> None:
    if running.name == "router":
        assert sorted(running.stack.pids) == sorted(PROCESSES)


@pytest.mark.parametrize("name", PROCESSES)
async def test_a_killed_process_comes_back_and_the_next_order_arrives(
    running: Running, public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop, name: str
) -> None:
    if name not in running.stack.pids:
        name = {"subgraphs": "notifications", "router": "gateway"}[name]
    before = running.stack.pids[name]

    os.kill(before, signal.SIGKILL)

    await eventually(lambda: running.pid_of(name), lambda pid: pid != before, seconds=30)
    payload = order(number=1, placed=datetime.now(UTC), dice=Random(2))

    async def deliver_it() -> int:
        answer = await deliver(public, shop.hook_url, shop.hook_secret, payload)
        return answer.status_code

    async def receive_it() -> str:
        async with subscribe_to_claims(running.url, shop.site_key, after="0-0") as claims:
            async with asyncio.timeout(10):
                return str((await anext(claims))["id"])

    await eventually(deliver_it, lambda status: status == 200, seconds=30)
    claim_id = await eventually(receive_it, bool, seconds=30)
    stored = await eventually(lambda: claims_of(merchant, shop), bool, seconds=30)
    totals = await eventually(lambda: counted(merchant, shop), lambda it: it["published"] > 0)
    assert [claim["id"] for claim in stored] == [claim_id]
    assert (totals["orders"], totals["published"]) == (1, 1)
