"""The toast that a visitor sees, on a page with a strict content security policy."""

from datetime import UTC, datetime

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from tests.snippet.server import Server
from tests.snippet.shop_page import ago, open_shop

TEXT = "Anna from Oslo bought Blue Shoes"


async def test_shows_the_claim_with_its_age(context: BrowserContext, server: Server) -> None:
    shop = await open_shop(context, server)

    await server.publish(TEXT, at=ago(minutes=3, seconds=20))

    await expect(shop.card.locator(".text")).to_have_text(TEXT)
    await expect(shop.card.locator("time")).to_have_text("3 minutes ago")
    await expect(shop.page.get_by_role("status")).to_have_text(f"{TEXT}, 3 minutes ago")
    assert await shop.page.get_by_role("status").count() == 1
    assert server.inits == [{"siteKey": "pk_test"}]
    assert server.subscribed == [{"k": "pk_test", "a": None}]


@pytest.mark.parametrize(
    ("lang", "how_long", "age"),
    [
        ("en", {"seconds": 5}, "now"),
        ("en", {"seconds": -300}, "now"),
        ("en", {"seconds": 61}, "1 minute ago"),
        ("en", {"minutes": 119}, "1 hour ago"),
        ("en", {"hours": 47}, "1 day ago"),
        ("en", {"days": 400}, "400 days ago"),
        ("de", {"minutes": 3}, "vor 3 Minuten"),
        ("en_US", {"minutes": 3}, "3 minutes ago"),
        ("", {"minutes": 3}, "3 minutes ago"),
    ],
)
async def test_shows_the_age_in_the_language_of_the_page(
    context: BrowserContext, server: Server, lang: str, how_long: dict[str, float], age: str
) -> None:
    server.lang = lang
    shop = await open_shop(context, server)

    await server.publish(TEXT, at=ago(**how_long))

    await expect(shop.card.locator("time")).to_have_text(age)


async def test_stores_nothing_and_respects_the_policy_of_the_page(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server)

    await server.publish(TEXT, url="/product", at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")
    await shop.close.click()
    await shop.wait_until_sent(shown=1, dismissed=1)

    assert await context.cookies() == []
    assert await shop.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    assert await shop.evaluate("indexedDB.databases().then((all) => all.length)") == 0
    assert await shop.evaluate("violations") == []
    assert shop.console == []


async def test_causes_no_layout_shift(context: BrowserContext, server: Server) -> None:
    shop = await open_shop(context, server)
    before = await shop.page.locator("h1").bounding_box()

    await server.publish(TEXT, at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")
    await shop.close.click()
    await expect(shop.card).to_have_count(0)

    assert await shop.page.locator("h1").bounding_box() == before
    assert await shop.evaluate("shift") == 0


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)> from Oslo bought Shoes",
        "<script>alert(1)</script>",
        "</div><style>*{display:none}</style>",
        'Ann & "Bo" {{ 7 * 7 }} &lt;b&gt;',
    ],
)
async def test_shows_markup_as_text(context: BrowserContext, server: Server, text: str) -> None:
    shop = await open_shop(context, server)
    shop.page.on("dialog", lambda dialog: shop.console.append(f"dialog: {dialog.message}"))

    await server.publish(text, at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")

    assert await shop.card.locator(".text").text_content() == text
    assert await shop.card.locator("img, script, style").count() == 0
    assert shop.console == []


@pytest.mark.parametrize(
    ("url", "href"),
    [
        ("https://shop.example/blue", "https://shop.example/blue"),
        ("/product", "{origin}/product"),
        ("javascript:alert(1)", None),
        ("data:text/html,<script>alert(1)</script>", None),
        ("https://", None),
        ("", None),
        (None, None),
    ],
)
async def test_links_only_to_web_pages(
    context: BrowserContext, server: Server, url: str | None, href: str | None
) -> None:
    shop = await open_shop(context, server)

    await server.publish(TEXT, url=url, at=ago(seconds=5))
    await expect(shop.card).to_be_visible()

    links = await shop.card.locator("a").evaluate_all("(all) => all.map((one) => one.href)")
    assert links == ([href.format(origin=server.origin)] if href else [])


async def test_shows_one_at_a_time_and_the_latest_of_many(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server)
    for number in range(9):
        await server.publish(f"Claim {number}", at=ago(seconds=5))
    await shop.wait_for_dom_event("received", 9)

    seen = []
    for _ in range(6):
        await expect(shop.card).to_have_count(1)
        seen.append(await shop.card.locator(".text").text_content())
        await shop.close.click()
        await expect(shop.card).to_have_count(0)

    assert seen == ["Claim 0", "Claim 4", "Claim 5", "Claim 6", "Claim 7", "Claim 8"]


async def test_closes_by_itself_but_not_before_six_seconds(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server, clock=datetime.now(UTC))
    await server.publish(TEXT, at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")

    await shop.page.clock.run_for(6_000)
    await expect(shop.card).to_have_count(1)
    await shop.page.clock.run_for(3_000)
    await expect(shop.card).to_have_count(0)
    await expect(shop.page.get_by_role("status")).to_be_empty()


async def test_stays_open_under_the_pointer(context: BrowserContext, server: Server) -> None:
    shop = await open_shop(context, server, clock=datetime.now(UTC))
    await server.publish(TEXT, at=ago(seconds=40))
    await shop.wait_for_dom_event("shown")

    await shop.card.hover()
    await shop.page.clock.run_for(60_000)
    await expect(shop.card).to_have_count(1)
    await expect(shop.card.locator("time")).to_have_text("1 minute ago")

    await shop.page.mouse.move(900, 10)
    await shop.page.clock.run_for(2_000)
    await expect(shop.card).to_have_count(1)
    await shop.page.clock.run_for(2_000)
    await expect(shop.card).to_have_count(0)


async def test_stays_open_while_focused_and_closes_with_escape(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server, clock=datetime.now(UTC))
    await shop.page.locator("#buy").focus()
    await server.publish(TEXT, at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")

    await shop.page.keyboard.press("Escape")  # the focus is on the page: the toast ignores the key
    await shop.page.keyboard.press("Tab")
    await expect(shop.close).to_be_focused()
    await shop.page.clock.run_for(60_000)
    await expect(shop.card).to_have_count(1)

    await shop.page.keyboard.press("Escape")
    await expect(shop.card).to_have_count(0)
    await expect(shop.page.locator("#buy")).to_be_focused()
    await shop.page.clock.run_for(1_000)
    await shop.wait_until_sent(shown=1, dismissed=1)


@pytest.mark.parametrize(("motion", "animations"), [("reduce", 0), ("no-preference", 1)])
async def test_is_animated_unless_the_visitor_prefers_reduced_motion(
    context: BrowserContext, server: Server, motion: str, animations: int
) -> None:
    shop = await open_shop(context, server)
    await shop.page.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]

    await server.publish(TEXT, at=ago(seconds=5))
    await shop.card.wait_for()

    assert await shop.card.evaluate("(card) => card.getAnimations().length") == animations


async def test_uses_the_color_scheme_and_direction_of_the_page(
    context: BrowserContext, server: Server
) -> None:
    server.attributes = 'dir="rtl"'
    shop = await open_shop(context, server)
    await shop.page.emulate_media(color_scheme="dark", reduced_motion="reduce")

    await server.publish(TEXT, at=ago(seconds=5))
    await shop.card.wait_for()

    color = await shop.card.evaluate("(card) => getComputedStyle(card).backgroundColor")
    assert color == "rgb(29, 33, 38)"
    box = await shop.card.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] == 1000 - 16
    assert box["y"] + box["height"] == 700 - 16


async def test_fits_a_small_screen(browser: Browser, server: Server) -> None:
    context = await browser.new_context(viewport={"width": 320, "height": 500})
    shop = await open_shop(context, server)

    await server.publish(
        "Bartholomäus from Llanfairpwllgwyngyll bought " + "x" * 80, at=ago(hours=5)
    )
    await shop.wait_for_dom_event("shown")

    box = await shop.card.bounding_box()
    assert box is not None
    assert (box["x"], box["width"]) == (16, 320 - 32)
    target = await shop.close.bounding_box()
    assert target is not None
    assert (target["width"], target["height"]) == (32, 32)
    await expect(shop.card.locator("time")).to_have_text("5 hours ago")
    await context.close()
