"""The demo shop's page: it shows the true state of the snippet's connection."""

import asyncio

from playwright.async_api import Page, Route, expect

from tests.snippet.server import Server
from tests.snippet.shop_page import ago

SCRIPT = "**/snippet/proofgraph.js"
CONNECTED = "Connected. The claim of the next order appears in the corner."


async def _expect_state(page: Page, badge: str, text: str) -> None:
    await expect(page.locator("#badge")).to_have_text(badge)
    await expect(page.locator("#state")).to_have_text(text)


async def test_shows_each_state_of_the_connection(server: Server, page: Page) -> None:
    may_load = asyncio.Event()

    async def delay(route: Route) -> None:
        await may_load.wait()
        await route.continue_()

    await page.route(SCRIPT, delay)
    await page.goto(f"{server.origin}/demo/shop.html?key=pk_test", wait_until="commit")
    await _expect_state(page, "Connecting…", "Connecting…")
    may_load.set()
    await _expect_state(page, "Connected", CONNECTED)
    assert server.inits == [{"siteKey": "pk_test"}]

    await server.publish("Anna from Oslo bought Shoes", at=ago(seconds=5))
    await _expect_state(page, "Connected", "Connected. Claims shown on this page: 1.")

    server.stopped = True
    await server.disconnect_all()
    await _expect_state(
        page,
        "Disconnected",
        "Disconnected. Retrying until the server answers; `make up` starts a stopped stack.",
    )
    server.stopped = False
    await page.evaluate("dispatchEvent(new Event('online'))")
    await _expect_state(page, "Connected", "Connected. Claims shown on this page: 1.")
    await expect(page.locator("#key-help")).to_be_hidden()
    assert await page.evaluate("violations") == []


async def test_shows_a_refused_key_and_its_remedy(server: Server, page: Page) -> None:
    server.refuse_key = True
    await page.goto(f"{server.origin}/demo/shop.html?key=pk_wrong")

    await _expect_state(
        page,
        "Key refused",
        "The server refused the site key in this address. "
        "It may be mistyped or revoked, or belong to another shop's domain.",
    )
    assert server.inits == [{"siteKey": "pk_wrong"}]
    help_link = page.get_by_role("link", name="Log in to the dashboard")
    await expect(help_link).to_be_visible()
    assert await help_link.get_attribute("href") == "/demo/dashboard.html"


async def test_shows_a_missing_key_and_its_remedy(server: Server, page: Page) -> None:
    await page.goto(f"{server.origin}/demo/shop.html")

    await _expect_state(page, "No site key", "The address of this page has no site key.")
    await expect(page.get_by_role("link", name="Log in to the dashboard")).to_be_visible()
    assert server.inits == []


async def test_shows_that_the_snippet_did_not_load(server: Server, page: Page) -> None:
    await page.route(SCRIPT, lambda route: route.abort())
    await page.goto(f"{server.origin}/demo/shop.html?key=pk_test")

    await _expect_state(
        page,
        "Not loaded",
        "The snippet could not be loaded. `make up` starts a stopped stack; then reload this page.",
    )
