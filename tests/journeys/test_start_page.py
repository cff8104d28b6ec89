"""The start page in a real Chromium, and demo orders from the page, by HTTP and from a shell."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from deploy.local.demo.account import Demo, open_demo
from deploy.local.demo.subscriber import subscribe_to_claims
from deploy.local.stack.state import DEMO_FILE
from tests.fixtures.browser import browser as browser
from tests.fixtures.browser import built_snippet as built_snippet
from tests.fixtures.deadline import eventually
from tests.journeys.conftest import SCREENSHOTS, Running

pytestmark = pytest.mark.one_gateway

SEEN = re.compile(r"“\w.* from .+ bought .+”: seen live \d+ ms after order \d+ was accepted\.")


@pytest.fixture
async def demo(running: Running, public: httpx.AsyncClient) -> Demo:
    return await open_demo(public, running.stack, lambda text: None)


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    yield page
    await context.close()


async def test_the_page_offers_the_demo_as_soon_as_there_is_one(
    running: Running, public: httpx.AsyncClient, page: Page
) -> None:
    (running.stack.state / DEMO_FILE).unlink(missing_ok=True)
    button = page.get_by_role("button", name="Send a demo order")
    await page.goto(running.url)
    await expect(page.locator("#no-login")).to_be_visible(timeout=10_000)
    await expect(button).to_be_disabled()

    demo = await open_demo(public, running.stack, lambda text: None)

    await expect(page.locator("#email")).to_have_text(demo.merchant.email, timeout=10_000)
    await expect(page.locator("#password")).to_have_text(demo.password)
    await expect(page.locator("#no-login")).to_be_hidden()
    await expect(button).to_be_enabled()
    shop = f"/demo/shop.html?key={demo.shop.site_key}"
    await expect(page.locator("#shop")).to_have_attribute("href", shop)


async def test_the_button_sends_an_order_and_shows_when_it_was_seen_live(
    running: Running, demo: Demo, page: Page
) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    await page.goto(running.url)
    parts = page.locator("#parts li")
    await expect(parts).to_have_count(len(running.stack.pids), timeout=10_000)
    await expect(parts.locator(".ready")).to_have_count(len(running.stack.pids))

    await page.get_by_role("button", name="Send a demo order").click()

    await expect(page.locator("#orders li")).to_have_text(SEEN, timeout=20_000)
    await page.screenshot(path=SCREENSHOTS / f"start-{running.name}.png")
    assert problems == []


async def test_an_order_by_http_becomes_the_claim_that_names_its_event(
    running: Running, public: httpx.AsyncClient, demo: Demo
) -> None:
    async with subscribe_to_claims(running.url, demo.shop.site_key) as claims:
        response = await public.post("/demo/order", headers={"Origin": running.url})
        sent = response.json()
        claim = await anext(claims)

    assert response.status_code == 202
    assert sent == {"orderId": sent["orderId"], "eventId": claim["sourceEventIds"][0]}
    assert sent["orderId"].isdigit()


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 405),
        ("HEAD", {}, 405),
        ("POST", {"Origin": "https://elsewhere.example"}, 403),
        ("POST", {"Host": "rebound.example"}, 403),
    ],
)
async def test_other_requests_send_no_order(
    running: Running,
    public: httpx.AsyncClient,
    demo: Demo,
    method: str,
    headers: dict[str, str],
    status: int,
) -> None:
    response = await public.request(method, "/demo/order", headers=headers)

    assert response.status_code == status


async def test_a_killed_part_is_not_ready_until_it_is_back(
    running: Running, public: httpx.AsyncClient
) -> None:
    async def state() -> str:
        status: dict[str, Any] = (await public.get("/demo/status")).json()
        return next(str(it["state"]) for it in status["parts"] if it["name"] == "beat")

    assert await eventually(state, lambda it: it == "ready") == "ready"

    running.kill("beat")

    assert await eventually(state, lambda it: it != "ready") in ("stopped", "starting")
    await eventually(state, lambda it: it == "ready", seconds=30)
