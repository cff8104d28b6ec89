"""The demo merchant of a state folder: created once and remembered in demo.json.

A later run goes on with the session of the last one. It logs in again once that session has ended,
and waits where log-in is rate limited. It creates another demo merchant only where the database
does not know the remembered one, and says so.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx

from deploy.local.demo.merchant import ME, ApiError, DemoMerchant, Shop
from deploy.local.stack.stack import Stack
from deploy.local.stack.state import DEMO_FILE, State

REQUEST_SECONDS = 20

Say = Callable[[str], None]

_DEFAULT_WAIT_SECONDS = 60
"""Where the error does not say how long to wait."""


class Demo(NamedTuple):
    """The demo merchant, logged in, with its password and its shop."""

    merchant: DemoMerchant
    password: str
    shop: Shop


def public_client(stack: Stack) -> httpx.AsyncClient:
    """A client of the stack's public port; loopback is not reached through a proxy."""
    return httpx.AsyncClient(base_url=stack.url, timeout=REQUEST_SECONDS, trust_env=False)


async def open_demo(client: httpx.AsyncClient, stack: Stack, say: Say) -> Demo:
    """The demo merchant of the stack's state folder: the remembered one, or a new one.

    Args:
        say: is called with each sentence that a person should read.
    """
    state = State(stack.state)
    known: dict[str, Any] | None = state.read(DEMO_FILE)
    demo = await _reopen(client, known, say) if known else None
    if demo is None:
        if known:
            say(
                f"The database does not know {known['email']}, the demo merchant of"
                f" {state.folder / DEMO_FILE}: creating another one."
            )
        demo = await _create(client)
    running = {"url": stack.url, "stores": stack.stores, "processes": stack.pids}
    state.write(DEMO_FILE, running | _describe(demo))
    return demo


async def _reopen(client: httpx.AsyncClient, known: dict[str, Any], say: Say) -> Demo | None:
    merchant = DemoMerchant(client)
    merchant.email = known["email"]
    merchant.account_id = known["accountId"]
    merchant.token = known.get("token", "")
    demo = Demo(merchant, known["password"], _shop_of(known, client.base_url))
    if await _is_logged_in(merchant) or await _log_in(merchant, demo.password, say):
        return demo
    return None


async def _is_logged_in(merchant: DemoMerchant) -> bool:
    if not merchant.token:
        return False
    try:
        return (await merchant.execute(ME))["me"] is not None
    except ApiError as error:
        if "UNAUTHENTICATED" not in error.codes:
            raise
        merchant.token = ""  # a request with an ended session is refused, log-in too
        return False


async def _log_in(merchant: DemoMerchant, password: str, say: Say) -> bool:
    """Whether the database knows the merchant."""
    while True:
        try:
            await merchant.log_in(merchant.email, password)
            return True
        except ApiError as error:
            if "UNAUTHENTICATED" in error.codes:
                return False
            if "RATE_LIMITED" not in error.codes:
                raise
            seconds = wait_seconds(str(error))
            say(f"Log-in is rate limited ({error}). The demo goes on in {seconds} s.")
            await asyncio.sleep(seconds)


def wait_seconds(message: str) -> int:
    """How long an error of code RATE_LIMITED asks to wait.

    >>> wait_seconds("Too many tries; wait 42 seconds.")
    42
    """
    found = re.search(r"(\d+) seconds?", message)
    return int(found[1]) if found else _DEFAULT_WAIT_SECONDS


async def _create(client: httpx.AsyncClient) -> Demo:
    name = f"demo-{secrets.token_hex(3)}"
    password = secrets.token_urlsafe(12)
    merchant = DemoMerchant(client)
    await merchant.sign_up(
        f"{name}@proofgraph.example", password, full_name="Demo Merchant", account="Demo Shops"
    )
    shop = await merchant.create_shop(name="Demo Shop", domain=f"{name}.localhost")
    return Demo(merchant, password, shop)


def _describe(demo: Demo) -> dict[str, Any]:
    """The demo's half of demo.json."""
    shop = demo.shop
    return {
        "email": demo.merchant.email,
        "password": demo.password,
        "token": demo.merchant.token,
        "accountId": shop.account_id,
        "siteId": shop.site_id,
        "siteKey": shop.site_key,
        "notificationId": shop.notification_id,
        "integrationId": shop.integration_id,
        "shopify": {"url": shop.hook_url, "secret": shop.hook_secret},
    }


def _shop_of(known: dict[str, Any], base: httpx.URL) -> Shop:
    webhook = httpx.URL(known["shopify"]["url"])
    return Shop(
        account_id=known["accountId"],
        site_id=known["siteId"],
        site_key=known["siteKey"],
        notification_id=known["notificationId"],
        integration_id=known["integrationId"],
        hook_url=str(base.join(webhook.path)),  # the public port may have changed
        hook_secret=known["shopify"]["secret"],
    )
