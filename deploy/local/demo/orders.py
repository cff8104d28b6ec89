"""A demo merchant and a morning of orders, followed from the shop to the visitor's screen."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.local.demo.merchant import ANALYTICS, ApiError, Merchant, Shop
from deploy.local.demo.shopify import deliver, morning_of_orders
from deploy.local.demo.subscriber import following
from deploy.local.demo.timeline import Passage
from deploy.local.demo.visitor import Visitor

_BREATH_SECONDS = 0.6
"""The snippet leaves half a second between two toasts. An order that came in it would measure the
breath, and not the way."""

_STATION_SECONDS = 20
"""How long an order may take to a station before the demo calls it lost."""


class StepFailed(Exception):
    """A step of the demo did not do what it should; the message says which and what was seen."""


async def merchant_and_shop(
    client: httpx.AsyncClient, last: dict[str, Any] | None
) -> tuple[Merchant, str, Shop]:
    """The demo merchant with a password and a shop: those of last time, or new ones.

    Args:
        last: what demo.json told after an earlier run, if there was one.
    """
    merchant = Merchant(client)
    if last is not None:
        try:
            await merchant.log_in(last["email"], last["password"])
            return merchant, last["password"], _shop_of(last, client.base_url)
        except ApiError:
            pass  # the stores are others than those it was written for
    name = f"demo-{secrets.token_hex(3)}"
    password = secrets.token_urlsafe(12)
    email = f"{name}@proofgraph.example"
    await merchant.sign_up(email, password, full_name="Demo Merchant", account="Demo Shops")
    return (
        merchant,
        password,
        await merchant.open_shop(name="Demo Shop", domain=f"{name}.localhost"),
    )


def description(merchant: Merchant, password: str, shop: Shop) -> dict[str, Any]:
    """What demo.json tells of them."""
    return {
        "email": merchant.email,
        "password": password,
        "accountId": shop.account_id,
        "siteId": shop.site_id,
        "siteKey": shop.site_key,
        "notificationId": shop.notification_id,
        "integrationId": shop.integration_id,
        "shopify": {"url": shop.hook_url, "secret": shop.hook_secret},
    }


async def follow_orders(
    merchant: Merchant, shop: Shop, visitor: Visitor, *, count: int
) -> AsyncIterator[Passage]:
    """Send orders one after the other, each followed until it is counted.

    Raises:
        StepFailed: an order was refused, or did not reach a station in time.
    """
    client = merchant.client
    before = await _published(merchant, shop)
    first_number = int(time.time())  # another morning, other orders
    orders = morning_of_orders(count, until=datetime.now(UTC), first_number=first_number)
    async with following(str(client.base_url).rstrip("/"), shop.site_key) as claims:
        for sent, order in enumerate(orders, start=1):
            answer = await deliver(client, shop.hook_url, shop.hook_secret, order)
            accepted = time.time()
            if answer.status_code != 200:
                raise StepFailed(f"order {order['name']} was refused: {answer.text}")
            claim = await anext(claims)
            seen = time.time()
            shown = await _shown(visitor, claim)
            counted = await _counted(merchant, shop, before + sent)
            yield Passage(
                text=claim["text"],
                accepted=accepted,
                published=datetime.fromisoformat(claim["publishedAt"]).timestamp(),
                seen=seen,
                shown=shown,
                counted=counted,
            )
            await visitor.close_toast()
            await asyncio.sleep(_BREATH_SECONDS)


async def _shown(visitor: Visitor, claim: dict[str, Any]) -> float:
    try:
        return await visitor.happened("shown", claim["id"], seconds=_STATION_SECONDS)
    except TimeoutError as error:
        raise StepFailed(f"the browser never showed “{claim['text']}”") from error


async def _counted(merchant: Merchant, shop: Shop, expected: int) -> float:
    deadline = time.monotonic() + _STATION_SECONDS
    while (published := await _published(merchant, shop)) < expected:
        if time.monotonic() > deadline:
            raise StepFailed(f"{published} of {expected} claims are counted in ClickHouse")
    if published > expected:
        raise StepFailed(f"{expected} claims were published and {published} counted")
    return time.time()


async def _published(merchant: Merchant, shop: Shop) -> int:
    now = datetime.now(UTC)
    start = (now - timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    span = {"id": shop.site_id, "start": start.isoformat(), "end": now.isoformat()}
    answer = await merchant.ask(ANALYTICS, span)
    return int(answer["site"]["analytics"]["totals"]["published"])


def _shop_of(last: dict[str, Any], base: httpx.URL) -> Shop:
    hook = httpx.URL(last["shopify"]["url"])
    return Shop(
        account_id=last["accountId"],
        site_id=last["siteId"],
        site_key=last["siteKey"],
        notification_id=last["notificationId"],
        integration_id=last["integrationId"],
        hook_url=str(base.join(hook.path)),  # the port may be another than last time
        hook_secret=last["shopify"]["secret"],
    )
