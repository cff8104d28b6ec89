"""GraphiQL with its examples, the demo shop and the dashboard, on the whole stack."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from deploy.local.demo.merchant import DemoMerchant, Shop
from deploy.local.demo.shopify import deliver, demo_orders
from tests.fixtures.browser import browser as browser
from tests.fixtures.browser import built_snippet as built_snippet
from tests.journeys.conftest import PASSWORD, SCREENSHOTS, Running

TABS = ["SignUp", "LogIn", "CreateSite", "ConnectShopify", "CreateNotification", "Sites"]


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    yield page
    await context.close()


async def test_the_examples_of_graphiql_run_from_left_to_right(
    running: Running, page: Page
) -> None:
    problems: list[str] = []
    requests: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    await page.goto(f"{running.url}/graphiql")
    response = page.locator(".result-window")

    for tab, expected in zip(
        TABS, ["token", "token", "siteKey", "secret", "DRAFT", "edges"], strict=True
    ):
        await page.locator("[role=tab]").get_by_text(tab, exact=True).click()
        editor = page.locator(".graphiql-query-editor")
        await expect(editor).to_contain_text(tab, timeout=20_000)
        await editor.locator(".view-line", has_text=tab).first.click()
        await page.keyboard.press("Control+Enter")
        await expect(response).to_contain_text(expected, timeout=15_000)
        await expect(response).not_to_contain_text('"errors"')

    await page.screenshot(path=SCREENSHOTS / f"graphiql-{running.name}.png")
    assert problems == []
    elsewhere = [
        url for url in requests if not url.startswith((f"{running.url}/", "data:", "blob:"))
    ]
    assert (elsewhere, len(requests) > 5) == ([], True)


@pytest.mark.one_gateway
async def test_the_dashboard_shows_an_order_as_soon_as_it_is_placed(
    running: Running, public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop, page: Page
) -> None:
    await page.goto(f"{running.url}/demo/dashboard.html")
    await page.get_by_label("E-mail").fill(merchant.email)
    await page.get_by_label("Password").fill("wrong password")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_contain_text("is wrong")

    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#connection")).to_have_text("Connected", timeout=15_000)
    (order,) = demo_orders(1, until=datetime.now(UTC))
    await deliver(public, shop.hook_url, shop.hook_secret, order)

    product = order["line_items"][0]["title"]
    await expect(page.locator("#feed")).to_contain_text(f"bought {product}", timeout=15_000)
    await expect(page.locator("#feed")).to_contain_text("Order received")
    await page.screenshot(path=SCREENSHOTS / f"dashboard-{running.name}.png")


async def test_the_shop_page_shows_whether_its_key_is_accepted(
    running: Running, shop: Shop, page: Page
) -> None:
    state = page.locator("#badge")
    await page.goto(f"{running.url}/demo/shop.html?key={shop.site_key}")
    await expect(state).to_have_text("Connected", timeout=15_000)

    await page.goto(f"{running.url}/demo/shop.html?key=pk_wrong")
    await expect(state).to_have_text("Key refused", timeout=15_000)
