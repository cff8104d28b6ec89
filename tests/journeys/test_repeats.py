"""Repeated webhooks count once; a subscriber that reconnects misses nothing."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.local.demo.merchant import DemoMerchant, Shop
from deploy.local.demo.shopify import deliver, order
from deploy.local.demo.subscriber import subscribe_to_claims
from tests.fixtures.deadline import eventually
from tests.journeys.conftest import Running, claims_of

pytestmark = pytest.mark.one_gateway

CUTS, CLAIMS = 20, 500


def orders(count: int) -> list[dict[str, Any]]:
    now, dice = datetime.now(UTC), Random(1)
    return [
        order(number=number, placed=now - timedelta(seconds=count - number), rng=dice)
        for number in range(count)
    ]


async def send_all(client: httpx.AsyncClient, shop: Shop, count: int) -> None:
    """Send orders over eight connections at once, as a busy shop does."""
    gate = asyncio.Semaphore(8)

    async def send(payload: dict[str, Any]) -> None:
        async with gate:
            response = await deliver(client, shop.hook_url, shop.hook_secret, payload)
            assert response.status_code == 200, response.text

    await asyncio.gather(*(send(payload) for payload in orders(count)))


async def test_five_deliveries_of_one_webhook_make_one_claim(
    public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop
) -> None:
    (payload,) = orders(1)
    delivery_id = str(uuid4())

    async def send() -> int:
        response = await deliver(
            public, shop.hook_url, shop.hook_secret, payload, delivery_id=delivery_id
        )
        return response.status_code

    at_once = await asyncio.gather(send(), send())
    later = [await send() for _ in range(3)]
    # Once the claim of this later order is there, the repeats have been processed too.
    later_order = await deliver(public, shop.hook_url, shop.hook_secret, orders(2)[1])

    assert [*at_once, *later, later_order.status_code] == [200] * 6
    claims = await eventually(lambda: claims_of(merchant, shop), lambda found: len(found) >= 2)
    assert len({claim["id"] for claim in claims}) == len(claims) == 2


async def test_the_same_order_under_two_delivery_ids_makes_one_claim(
    public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop
) -> None:
    first, second = orders(2)

    await deliver(public, shop.hook_url, shop.hook_secret, first)
    await deliver(public, shop.hook_url, shop.hook_secret, first)
    await deliver(public, shop.hook_url, shop.hook_secret, second)

    claims = await eventually(lambda: claims_of(merchant, shop), lambda found: len(found) >= 2)
    assert len(claims) == 2


async def test_a_subscriber_that_reconnects_twenty_times_receives_every_claim_once(
    running: Running, public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop
) -> None:
    received: list[dict[str, Any]] = []
    sending = asyncio.create_task(send_all(public, shop, CLAIMS))

    after, cuts = None, 0
    async with asyncio.timeout(120):
        # The first subscription starts from the beginning, so that no claim is missed before it.
        while len(received) < CLAIMS:
            async with subscribe_to_claims(
                running.url, shop.site_key, after=after or "0-0"
            ) as claims:
                async for claim in claims:
                    received.append(claim)
                    after = claim["cursor"]
                    if len(received) == CLAIMS:
                        break
                    if cuts < CUTS and len(received) >= (cuts + 1) * CLAIMS // (CUTS + 1):
                        cuts += 1
                        break
    await sending

    ids = [claim["id"] for claim in received]
    stored = await claims_of(merchant, shop)
    assert cuts == CUTS
    assert len(ids) == len(set(ids)) == CLAIMS
    assert sorted(ids) == sorted(claim["id"] for claim in stored)
    cursors = [tuple(map(int, claim["cursor"].split("-"))) for claim in received]
    assert cursors == sorted(cursors)
