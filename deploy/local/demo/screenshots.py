"""`make screenshots`: takes the pictures of the four pages for docs/images.

It uses the running stack, or starts one and stops it again, and the demo merchant with some orders.
The browser may reach this machine alone, so a page that needs anything else shows in the picture.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, Page, Route, ViewportSize, expect

from deploy.local.demo.account import Demo, open_demo, public_client
from deploy.local.demo.console import console, run, say
from deploy.local.demo.shopify import deliver, demo_orders, order_now
from deploy.local.demo.visitor import launch_browser
from deploy.local.stack.stack import Stack
from deploy.local.stack.state import ROOT

IMAGES = ROOT / "docs" / "images"
MAX_BYTES = 200_000
_SIZE = ViewportSize(width=1280, height=800)
_ORDERS = 12
_WAIT_MILLISECONDS = 60_000
_FEED_ROWS = 3
_FEED_ATTEMPTS = 8
_CHART_MILLISECONDS = 4_000
"""The dashboard draws its chart again three seconds after an event."""


def take_screenshots() -> None:
    """Write docs/images/{start,shop,dashboard,graphiql}.png."""
    stack = Stack(progress=say)
    if not stack.is_running:
        console.print(f"Starting the stack on {stack.state}", soft_wrap=True)
    with console.status("The stack is starting …"):
        stack.start()
    with stack:
        asyncio.run(_take(stack))


async def _take(stack: Stack) -> None:
    async with public_client(stack) as client, launch_browser() as browser:
        demo = await open_demo(client, stack, say)
        console.print(f"Sending {_ORDERS} orders, then opening the pages in Chromium …")
        await _send_orders(client, demo)
        for name, picture in _PICTURES.items():
            async with _page(browser) as page:
                await picture(page, stack.url, client, demo)
                await _save(page, IMAGES / f"{name}.png")


async def _send_orders(client: httpx.AsyncClient, demo: Demo) -> None:
    """Some orders, so that no page is empty."""
    for payload in demo_orders(_ORDERS, until=datetime.now(UTC), first_number=int(time.time())):
        await _deliver(client, demo, payload)


async def _deliver(client: httpx.AsyncClient, demo: Demo, payload: dict[str, Any]) -> None:
    shop = demo.shop
    (await deliver(client, shop.hook_url, shop.hook_secret, payload)).raise_for_status()


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
    await route.abort()


async def _start(page: Page, url: str, client: httpx.AsyncClient, demo: Demo) -> None:
    await page.goto(url)
    await page.get_by_role("button", name="Send a demo order").click()
    await expect(page.locator("#orders")).to_contain_text("seen live")
    await expect(page.locator("#overall")).to_have_attribute("data-state", "ready")


async def _shop(page: Page, url: str, client: httpx.AsyncClient, demo: Demo) -> None:
    await page.goto(f"{url}/demo/shop.html?key={demo.shop.site_key}")
    await expect(page.locator("#state")).to_contain_text("Connected")
    await _deliver(client, demo, order_now())
    await expect(page.locator("proofgraph-toast .text")).to_be_visible()
    await page.wait_for_timeout(1_000)  # the toast slides in


async def _dashboard(page: Page, url: str, client: httpx.AsyncClient, demo: Demo) -> None:
    await page.goto(f"{url}/demo/dashboard.html")
    await page.get_by_label("E-mail").fill(demo.merchant.email)
    await page.get_by_label("Password").fill(demo.password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#connection")).to_have_text("Connected")
    rows = page.locator("#feed li", has_text="bought")
    for _ in range(
        _FEED_ATTEMPTS
    ):  # an order that comes before the subscription is not in the feed
        await _deliver(client, demo, order_now())
        await page.wait_for_timeout(_CHART_MILLISECONDS)
        if await rows.count() >= _FEED_ROWS:
            break
    await expect(rows.nth(_FEED_ROWS - 1)).to_be_visible()
    await page.wait_for_timeout(_CHART_MILLISECONDS)


async def _graphiql(page: Page, url: str, client: httpx.AsyncClient, demo: Demo) -> None:
    await page.goto(f"{url}/graphiql")
    await _open_tab(page, "LogIn")
    log_in = {"input": {"email": demo.merchant.email, "password": demo.password}}
    await page.locator(".graphiql-editor-tool .view-line").first.click()
    await page.keyboard.press("Control+A")
    await page.keyboard.insert_text(json.dumps(log_in, indent=2))
    await page.keyboard.press("Control+Shift+End")  # the brackets that the editor has closed itself
    await page.keyboard.press("Delete")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".result-window")).to_contain_text("token")
    await _open_tab(page, "Sites")
    await page.locator(".graphiql-query-editor .view-line").first.click()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".result-window")).to_contain_text("Demo Shop")


async def _open_tab(page: Page, name: str) -> None:
    editor = page.locator(".graphiql-query-editor")
    await expect(editor).to_contain_text("{")  # a click before the editor is there is lost
    await page.locator("[role=tab]").get_by_text(name, exact=True).click()
    await expect(editor).to_contain_text(f" {name}")


async def _save(page: Page, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    size = len(await page.screenshot(path=file))
    if size > MAX_BYTES:
        raise RuntimeError(f"{file} has {size} bytes, more than {MAX_BYTES}")
    say(f"{file.relative_to(ROOT)}  {size // 1000} KB")


_PICTURES = {"start": _start, "shop": _shop, "dashboard": _dashboard, "graphiql": _graphiql}


if __name__ == "__main__":
    sys.exit(run(take_screenshots, "The screenshots"))
