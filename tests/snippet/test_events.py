"""What the snippet tells of what happened, and that it tells it once."""

import json
import re
from datetime import UTC, datetime, timedelta

from playwright.async_api import BrowserContext, expect

from tests.fixtures.deadline import eventually
from tests.snippet.shop import ago, open_shop
from tests.snippet.stand import Stand, serving

TEXT = "Anna from Oslo bought Blue Shoes"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def test_shown_is_sent_once(context: BrowserContext, stand: Stand) -> None:
    shop = await open_shop(context, stand, at="/product?utm=secret#top")

    claim = await stand.publish(TEXT, at=ago(seconds=5))
    await shop.sent(shown=1)
    await shop.evaluate("scrollTo(0, 4000)")
    await shop.close.click()
    await shop.sent(shown=1, dismissed=1)

    shown, dismissed = stand.events
    assert stand.batches[0]["siteKey"] == "pk_test"
    assert {key: shown[key] for key in ("type", "claimId", "page")} == {
        "type": "shown",
        "claimId": claim["id"],
        "page": "/product",
    }
    assert UUID7.fullmatch(shown["id"])
    assert UUID7.fullmatch(dismissed["id"])
    assert dismissed["visitorId"] == shown["visitorId"]
    assert abs(datetime.fromisoformat(shown["occurredAt"]) - datetime.now(UTC)) < timedelta(
        seconds=9
    )
    assert stand.batch_headers[0]["content-type"] == "text/plain;charset=UTF-8"
    assert "cookie" not in stand.batch_headers[0]


async def test_click_is_sent_though_the_page_goes(context: BrowserContext, stand: Stand) -> None:
    shop = await open_shop(context, stand)

    claim = await stand.publish(TEXT, url="/product", at=ago(seconds=5))
    await shop.heard("shown")
    await shop.card.click(position={"x": 8, "y": 8})  # anywhere on the card is on the link
    await shop.page.wait_for_url("**/product")

    await shop.sent(shown=1, clicked=1)
    assert {event["claimId"] for event in stand.events} == {claim["id"]}


async def test_what_waits_is_sent_when_the_page_goes(context: BrowserContext, stand: Stand) -> None:
    shop = await open_shop(context, stand)

    await stand.publish(TEXT, at=ago(seconds=5))
    await shop.heard("shown")
    await shop.page.goto("about:blank")

    await shop.sent(shown=1)
    assert stand.batch_headers[0]["content-type"] == "text/plain;charset=UTF-8"


async def test_the_browser_takes_over_what_was_not_taken(
    context: BrowserContext, stand: Stand
) -> None:
    stand.event_statuses = [503]
    shop = await open_shop(context, stand, clock=datetime.now(UTC))
    await stand.publish(TEXT, at=ago(seconds=5))
    await shop.heard("shown")
    await shop.page.clock.run_for(501)
    await shop.sent(shown=1)

    # The clock stands still: no retry, only the beacon is left.
    await shop.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")

    async def batches() -> int:
        return len(stand.batches)

    await eventually(batches, lambda count: count == 2, seconds=8)
    first, second = stand.batches
    assert first == second
    assert stand.batch_headers[1]["content-type"] == "text/plain;charset=UTF-8"


async def test_a_toast_nobody_can_see_is_not_shown(context: BrowserContext, stand: Stand) -> None:
    shop = await open_shop(context, stand, clock=datetime.now(UTC))
    sheet = "const s = new CSSStyleSheet(); s.replaceSync('proofgraph-toast{%s}');"
    adopt = "document.adoptedStyleSheets = [s]"
    for rule in ("display:none", "visibility:hidden"):
        await shop.evaluate(sheet % rule + adopt)
        await stand.publish(TEXT, at=ago(seconds=5))
        await shop.card.wait_for(state="attached")
        await shop.page.clock.run_for(12_000)
        await expect(shop.card).to_have_count(0)

    assert await shop.evaluate("heard") == ["ready", "received", "received"]
    assert stand.batches == []


async def test_repeats_what_was_not_taken_under_the_same_ids(
    context: BrowserContext, stand: Stand
) -> None:
    stand.event_statuses = [503, 429]
    shop = await open_shop(context, stand)

    await stand.publish(TEXT, at=ago(seconds=5))
    await shop.heard("shown")

    async def batches() -> int:
        return len(stand.batches)

    await eventually(batches, lambda count: count == 3, seconds=8)
    await shop.close.click()
    await shop.sent(shown=1, dismissed=1)
    first, second, third, last = stand.batches
    assert first["events"] == second["events"] == third["events"]
    assert [event["type"] for event in last["events"]] == ["dismissed"]


async def test_gives_up_what_is_refused(context: BrowserContext, stand: Stand) -> None:
    stand.event_statuses = [400]
    shop = await open_shop(context, stand)

    await stand.publish(TEXT, at=ago(seconds=5))
    await shop.sent(shown=1)
    await shop.close.click()
    await shop.sent(shown=1, dismissed=1)

    assert [len(batch["events"]) for batch in stand.batches] == [1, 1]
    assert "warning: proofgraph: events refused (400)" in shop.console


async def test_knows_better_than_a_wrong_clock(context: BrowserContext, stand: Stand) -> None:
    for wrong_by in (timedelta(hours=3), timedelta(hours=-3)):
        stand.batches.clear()
        stand.subscribed.clear()
        shop = await open_shop(context, stand, clock=datetime.now(UTC) + wrong_by)
        cursor = f"{datetime.now(UTC).timestamp() * 1000:.0f}-0"

        await stand.publish(TEXT, at=ago(minutes=2, seconds=30), cursor=cursor)
        await shop.heard("shown")
        await expect(shop.card.locator("time")).to_have_text("2 minutes ago")
        await shop.page.clock.run_for(1_000)
        await shop.sent(shown=1)

        told = datetime.fromisoformat(stand.events[0]["occurredAt"])
        assert abs(told - datetime.now(UTC)) < timedelta(seconds=9)
        await shop.page.close()


async def test_another_origin_needs_no_preflight(context: BrowserContext, stand: Stand) -> None:
    async with serving(Stand()) as elsewhere:
        elsewhere.csp = None
        elsewhere.tags = elsewhere.tags.replace("{origin}", stand.origin)
        page = await context.new_page()
        await page.goto(elsewhere.origin)

        async def connected() -> int:
            return len(stand.subscribed)

        await eventually(connected, lambda count: count == 1, seconds=8)
        await stand.publish(TEXT, at=ago(seconds=5))

        async def sent() -> dict[str, int]:
            return stand.counts()

        await eventually(sent, lambda counts: counts == {"shown": 1}, seconds=8)
        assert [headers["method"] for headers in stand.batch_headers] == ["POST"]
        assert stand.batch_headers[0]["origin"] == elsewhere.origin
        assert json.dumps(elsewhere.batches) == "[]"
