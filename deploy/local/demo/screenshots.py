"""`make screenshots`: takes the pictures of the four pages for docs/images.

It uses the running stack, or starts one and stops it again, and the demo merchant with some orders.
The browser may reach this machine alone, so a page that needs anything else shows in the picture.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx
from playwright.async_api import Browser, Page, Route, expect

from deploy.local.demo.account import Demo, open_demo, public_client
from deploy.local.demo.console import console, run, say
from deploy.local.demo.shopify import deliver, order, order_now
from deploy.local.demo.visitor import launch_browser
from deploy.local.stack.stack import Stack
from deploy.local.stack.state import ROOT

IMAGES = ROOT / "docs" / "images"
MAX_BYTES = 200_000
_SIZE = {"width": 1280, "height": 800}
_ORDERS = 60
_WAIT_MILLISECONDS = 20_000


def take_screenshots() -> None:
    """Write docs/images/{start,shop,dashboard,graphiql}.png."""
    stack = Stack(progress=say)
    if not stack.is_running:
        console.print(f"Starting the stack on {stack.state}", soft_wrap=True)
    with stack:
        asyncio.run(_take(stack))


async def _take(stack: Stack) -> None:
    async with public_client(stack) as client, launch_browser() as browser:
        demo = await open_demo(client, stack, say)
        await _send_day_of_orders(client, demo)
        for name, picture in _PICTURES.items():
            async with _page(browser) as page:
                await picture(page, stack.url, client, demo)
                await _save(page, IMAGES / f"{name}.png")


async def _send_day_of_orders(client: httpx.AsyncClient, demo: Demo) -> None:
    """Orders of the last 24 hours, so that the dashboard's chart has something to show."""
    console.print(f"Sending {_ORDERS} orders of the last 24 hours …")
    dice, now = Random(), datetime.now(UTC)  # noqa: S311  (sample data, not a secret)
    for _ in range(_ORDERS):
        payload = order_now()
        placed = now - timedelta(minutes=dice.randint(1, 24 * 60))
        payload |= order(number=payload["order_number"], placed=placed, dice=dice)
        (
            await deliver(client, demo.shop.hook_url, demo.shop.hook_secret, payload)
        ).raise_for_status()


@asynccontextmanager
async def _page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport=_SIZE, color_scheme="light", locale="en-GB")
    await context.route(re.compile(r"^https?://(?!localhost[:/])"), _refuse)
    page = await context.new_page()
    page.set_default_timeout(_WAIT_MILLISECONDS)
    expect.set_options(timeout=_WAIT_MILLISECONDS)
    try:
        yield page
    finally:
        await context.close()


async def _refuse(route: Route) -> None:
    raise RuntimeError(f"a page asks another machine for {route.request.url}")


async def _start(page: Page, url: str, client: httpx.AsyncClient, demo: Demo) -> None:
    await page.goto(url)
    await page.get_by_role("button", name="Send a demo order").click()
    await expect(page.locator("#orders")).to_contain_text("seen live")
    await expect(page.locator("#overall")).to_have_attribute("data-state", "ready")


async def _shop(page: Page, url: str, client: httpx.AsyncClient, demo: Demo) -> None:
    await page.goto(f"{url}/demo/shop.html?key={demo.shop.site_key}")
    await expect(page.locator("#state")).to_contain_text("Connected")
    await deliver(client, demo.shop.hook_url, demo.shop.hook_secret, order_now())
    await expect(page.locator("proofgraph-toast .text")).to_be_visible()
    await page.wait_for_timeout(1_000)  # the toast slides in


async def _dashboard(page: Page, url: str, client: httpx.AsyncClient, demo: Demo) -> None:
    await page.goto(f"{url}/demo/dashboard.html")
    await page.get_by_label("E-mail").fill(demo.merchant.email)
    await page.get_by_label("Password").fill(demo.password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#live")).to_have_text("connected")
    for number in range(1, 4):
        await deliver(client, demo.shop.hook_url, demo.shop.hook_secret, order_now())
        await expect(page.locator("#feed li", has_text="bought")).to_have_count(number)
    await page.wait_for_timeout(4_000)  # the chart is drawn again three seconds after an event


async def _graphiql(page: Page, url: str, client: httpx.AsyncClient, demo: Demo) -> None:
    await page.goto(f"{url}/graphiql")
    await page.locator("[role=tab]").get_by_text("LogIn", exact=True).click()
    await page.wait_for_timeout(3_000)


async def _save(page: Page, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=file)
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise RuntimeError(f"{file} has {size} bytes, more than {MAX_BYTES}")
    say(f"{file.relative_to(ROOT)}  {size // 1000} KB")


_PICTURES = {"start": _start, "shop": _shop, "dashboard": _dashboard, "graphiql": _graphiql}


if __name__ == "__main__":
    sys.exit(run(take_screenshots, "The screenshots"))
