"""The demo dashboard in the browser, with the headers that the pages service sends."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from tests.snippet.graphql_api import GraphQLApi
from tests.snippet.server import Json, Server

COUNTERS = {"orders": 40, "published": 1200, "shown": 1_234_567, "clicked": 30, "converted": 2}
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SESSION_ENDED = "Your session has ended. Please log in again."
SERVER_STOPPED = "The server does not answer. If the stack is stopped, `make up` starts it."


def _activity(*events: Json) -> Json:
    return {"siteActivity": {"cursor": "1-0", "counters": COUNTERS, "events": events}}


def _event(type_: str, at: datetime, text: str | None = None) -> Json:
    claim_id = "c1" if type_.startswith("claim.") else None
    return {"type": type_, "occurredAt": at.isoformat(), "claimId": claim_id, "text": text}


async def _log_in(page: Page, password: str) -> None:
    await page.get_by_label("E-mail").fill("anna@berg.example")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()


async def _open(page: Page, server: Server) -> None:
    await page.goto(f"{server.origin}/demo/dashboard.html")
    await _log_in(page, "right")


async def test_shows_analytics_and_live_activity(
    server: Server, api: GraphQLApi, page: Page, problems: list[str]
) -> None:
    text = "<b>Mia</b> from Oslo bought Shoes"
    server.activity = [_activity(_event("claim.shown", datetime.now(UTC), text))]

    await _open(page, server)

    await expect(page.get_by_role("heading", level=1)).to_have_text("Berg · berg.example")
    await expect(page.locator("#totals dd")).to_have_text(["5", "4", "3", "0", "1"])
    await expect(page.locator("#chart rect")).to_have_count(4)
    await expect(page.locator("#table tbody tr")).to_have_count(24)
    await expect(page.locator("#connection")).to_have_text("Connected")
    await expect(page.locator("#feed .text")).to_have_text([text])
    await expect(page.locator("#counters dd")).to_have_text(["40", "1,200", "1.2M", "30", "2"])
    assert server.inits == [{"authorization": "Bearer good"}]
    assert server.subscribed == [{"siteId": "s1", "a": None}]
    link = await page.get_by_role("link", name="Open the shop").get_attribute("href")
    assert link == "/demo/shop.html?key=pk_test"
    assert await page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    assert await page.evaluate("violations") == []
    assert problems == []


async def test_lists_activity_in_words_and_newest_first(
    server: Server, api: GraphQLApi, page: Page
) -> None:
    text = "Anna from Oslo bought Shoes"
    late_order = _event("order.created", START - timedelta(hours=2))
    server.activity = [
        _activity(
            _event("order.created", START),
            _event("claim.published", START, text),
            _event("claim.clicked", START + timedelta(seconds=3), text),
        ),
        _activity(late_order, _event("claim.shown", START + timedelta(seconds=2), text)),
        _activity(_event("claim.retracted", START + timedelta(days=1))),
    ]

    await _open(page, server)

    await expect(page.locator("#feed .title")).to_have_text(
        [
            "Claim retracted",
            "Claim clicked by a visitor",
            "Claim shown to a visitor",
            "Claim published",
            "Order received",
            "Order received",
        ]
    )
    await expect(page.locator("#feed .text")).to_have_text(
        [
            "The text of this claim is not available.",
            *[text] * 3,
            *["A customer placed an order."] * 2,
        ]
    )
    await expect(page.locator("#feed time")).to_have_text(
        [
            "Mar 3, 2026, 9:00 AM",
            *["Mar 2, 2026, 9:00 AM"] * 4,
            "Mar 2, 2026, 7:00 AM",
        ]
    )


async def test_lists_the_latest_40_events(server: Server, api: GraphQLApi, page: Page) -> None:
    texts = [f"Claim {number}" for number in range(45)]
    events = [
        _event("claim.published", START + timedelta(seconds=number), text)
        for number, text in enumerate(texts)
    ]
    server.activity = [_activity(*events[5:]), _activity(*events[:5])]

    await _open(page, server)

    await expect(page.locator("#feed .text")).to_have_text(texts[:4:-1])


async def test_shows_the_time_alone_for_events_of_today(
    server: Server, api: GraphQLApi, page: Page
) -> None:
    await page.clock.set_fixed_time(START + timedelta(hours=3))
    server.activity = [_activity(_event("order.created", START + timedelta(seconds=5)))]

    await _open(page, server)

    await expect(page.locator("#feed time")).to_have_text(["9:00:05 AM"])


@pytest.mark.parametrize(
    ("width", "hours", "counts", "bars"),
    [
        (
            360,
            ["6 PM", "12 AM", "6 AM", "12 PM"],
            ["0", "3", "6"],
            ["9 PM to 11 PM: 6 published", "9 PM to 11 PM: 4 shown"],
        ),
        (
            1280,
            ["6 PM", "9 PM", "12 AM", "3 AM", "6 AM", "9 AM", "12 PM", "3 PM"],
            ["0", "2", "4"],
            [
                "9 PM to 10 PM: 4 published",
                "9 PM to 10 PM: 3 shown",
                "10 PM to 11 PM: 2 published",
                "10 PM to 11 PM: 1 shown",
            ],
        ),
    ],
)
async def test_the_chart_is_readable_at_any_width(
    browser: Browser,
    server: Server,
    api: GraphQLApi,
    width: int,
    hours: list[str],
    counts: list[str],
    bars: list[str],
) -> None:
    context = await browser.new_context(viewport={"width": width, "height": 800})
    page = await context.new_page()
    await page.clock.set_fixed_time(START + timedelta(hours=7, minutes=30))
    await _open(page, server)
    chart = page.locator("#chart svg")
    await expect(chart).to_be_visible()

    # One unit is one pixel, so the labels keep the size that the style sheet gives them.
    box = await chart.bounding_box()
    assert box is not None
    assert await chart.get_attribute("viewBox") == f"0 0 {box['width']:g} 240"
    assert box["width"] == await page.locator("#chart").evaluate("(chart) => chart.clientWidth")
    sizes = await chart.locator("text").evaluate_all(
        "(all) => [...new Set(all.map((one) => getComputedStyle(one).fontSize))]"
    )
    assert sizes == ["12px"]
    await expect(chart.locator(".axis:not(.end)")).to_have_text(hours)
    await expect(chart.locator(".axis.end")).to_have_text(counts)
    await expect(chart.locator("rect")).to_have_text(bars)
    widths = await chart.locator("rect").evaluate_all(
        "(all) => all.map((one) => one.width.baseVal.value)"
    )
    assert min(widths) >= 4
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(overflow) == 0
    await context.close()


async def test_shows_errors(server: Server, api: GraphQLApi, page: Page) -> None:
    await page.goto(f"{server.origin}/demo/dashboard.html")
    await _log_in(page, "wrong")
    await expect(page.get_by_role("alert")).to_have_text("E-mail or password is wrong.")
    assert api.queries == []

    await _log_in(page, "right")
    await expect(page.locator("#connection")).to_have_text("Connected")
    await expect(page.get_by_role("alert")).to_be_hidden()

    api.token = "another"
    await page.locator("#site").dispatch_event("change")
    await expect(page.get_by_role("alert")).to_have_text(SESSION_ENDED)
    await expect(page.locator("#login")).to_be_visible()
    await expect(page.locator("#board")).to_be_hidden()

    await page.route("**/graphql", lambda route: route.abort())
    await _log_in(page, "right")
    await expect(page.get_by_role("alert")).to_have_text(SERVER_STOPPED)


async def test_shows_a_lost_connection_until_it_is_back(
    server: Server, api: GraphQLApi, page: Page
) -> None:
    await _open(page, server)
    await expect(page.locator("#connection")).to_have_text("Connected")

    server.stopped = True
    server.activity = [_activity(_event("order.created", START))]
    await page.route("**/graphql", lambda route: route.abort())
    await server.disconnect_all()
    await expect(page.locator("#connection")).to_have_text("Disconnected, retrying…")
    await page.locator("#site").dispatch_event("change")
    await expect(page.get_by_role("alert")).to_have_text(SERVER_STOPPED)

    server.stopped = False
    await page.unroute("**/graphql")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await expect(page.locator("#connection")).to_have_text("Connected")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_shows_the_log_in_form_when_the_subscription_is_refused(
    server: Server, api: GraphQLApi, page: Page
) -> None:
    server.refuse_key = True
    await _open(page, server)
    await expect(page.get_by_role("alert")).to_have_text(SESSION_ENDED)
    await expect(page.locator("#login")).to_be_visible()
