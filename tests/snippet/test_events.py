"""The notification events that the snippet sends to the ingest endpoint."""

import json
import re
from datetime import UTC, datetime, timedelta

from playwright.async_api import BrowserContext, expect

from tests.fixtures.deadline import eventually
from tests.snippet.server import Server, serving
from tests.snippet.shop_page import ago, open_shop

TEXT = "Anna from Oslo bought Blue Shoes"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def test_sends_shown_once(context: BrowserContext, server: Server) -> None:
    shop = await open_shop(context, server, at="/product?utm=secret#top")

    claim = await server.publish(TEXT, at=ago(seconds=5))
    await shop.wait_until_sent(shown=1)
    await shop.evaluate("scrollTo(0, 4000)")
    await shop.close.click()
    await shop.wait_until_sent(shown=1, dismissed=1)

    shown, dismissed = server.events
    assert server.batches[0]["siteKey"] == "pk_test"
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
    assert server.batch_headers[0]["content-type"] == "text/plain;charset=UTF-8"
    assert "cookie" not in server.batch_headers[0]


async def test_sends_a_click_that_leaves_the_page(context: BrowserContext, server: Server) -> None:
    shop = await open_shop(context, server)

    claim = await server.publish(TEXT, url="/product", at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")
    await shop.card.click(position={"x": 8, "y": 8})  # every point of the card is on the link
    await shop.page.wait_for_url("**/product")

    await shop.wait_until_sent(shown=1, clicked=1)
    assert {event["claimId"] for event in server.events} == {claim["id"]}


async def test_sends_the_queue_when_the_page_ends(context: BrowserContext, server: Server) -> None:
    shop = await open_shop(context, server)

    await server.publish(TEXT, at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")
    await shop.page.goto("about:blank")

    await shop.wait_until_sent(shown=1)
    assert server.batch_headers[0]["content-type"] == "text/plain;charset=UTF-8"


async def test_sends_a_failed_batch_again_when_the_page_ends(
    context: BrowserContext, server: Server
) -> None:
    server.event_statuses = [503]
    shop = await open_shop(context, server, clock=datetime.now(UTC))
    await server.publish(TEXT, at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")
    await shop.page.clock.run_for(501)
    await shop.wait_until_sent(shown=1)

    # The clock stands still, so there is no retry: only the beacon can send.
    await shop.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")

    async def batches() -> int:
        return len(server.batches)

    await eventually(batches, lambda count: count == 2, seconds=8)
    first, second = server.batches
    assert first == second
    assert server.batch_headers[1]["content-type"] == "text/plain;charset=UTF-8"


async def test_a_toast_that_the_page_hides_is_not_shown(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server, clock=datetime.now(UTC))
    sheet = "const s = new CSSStyleSheet(); s.replaceSync('proofgraph-toast{%s}');"
    adopt = "document.adoptedStyleSheets = [s]"
    for rule in ("display:none", "visibility:hidden"):
        await shop.evaluate(sheet % rule + adopt)
        await server.publish(TEXT, at=ago(seconds=5))
        await shop.card.wait_for(state="attached")
        await shop.page.clock.run_for(12_000)
        await expect(shop.card).to_have_count(0)

    assert await shop.evaluate("domEvents") == ["ready", "received", "received"]
    assert server.batches == []


async def test_retries_a_failed_batch_with_the_same_ids(
    context: BrowserContext, server: Server
) -> None:
    server.event_statuses = [503, 429]
    shop = await open_shop(context, server)

    await server.publish(TEXT, at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")

    async def batches() -> int:
        return len(server.batches)

    await eventually(batches, lambda count: count == 3, seconds=8)
    await shop.close.click()
    await shop.wait_until_sent(shown=1, dismissed=1)
    first, second, third, last = server.batches
    assert first["events"] == second["events"] == third["events"]
    assert [event["type"] for event in last["events"]] == ["dismissed"]


async def test_does_not_retry_a_refused_batch(context: BrowserContext, server: Server) -> None:
    server.event_statuses = [400]
    shop = await open_shop(context, server)

    await server.publish(TEXT, at=ago(seconds=5))
    await shop.wait_until_sent(shown=1)
    await shop.close.click()
    await shop.wait_until_sent(shown=1, dismissed=1)

    assert [len(batch["events"]) for batch in server.batches] == [1, 1]
    assert "warning: proofgraph: events refused (400)" in shop.console


async def test_corrects_a_wrong_clock(context: BrowserContext, server: Server) -> None:
    for wrong_by in (timedelta(hours=3), timedelta(hours=-3)):
        server.batches.clear()
        server.subscribed.clear()
        shop = await open_shop(context, server, clock=datetime.now(UTC) + wrong_by)
        cursor = f"{datetime.now(UTC).timestamp() * 1000:.0f}-0"

        await server.publish(TEXT, at=ago(minutes=2, seconds=30), cursor=cursor)
        await shop.wait_for_dom_event("shown")
        await expect(shop.card.locator("time")).to_have_text("2 minutes ago")
        await shop.page.clock.run_for(1_000)
        await shop.wait_until_sent(shown=1)

        sent_at = datetime.fromisoformat(server.events[0]["occurredAt"])
        assert abs(sent_at - datetime.now(UTC)) < timedelta(seconds=9)
        await shop.page.close()


async def test_sends_to_another_origin_without_a_preflight(
    context: BrowserContext, server: Server
) -> None:
    async with serving(Server()) as shop_server:
        shop_server.csp = None
        shop_server.tags = shop_server.tags.replace("{origin}", server.origin)
        page = await context.new_page()
        await page.goto(shop_server.origin)

        async def connected() -> int:
            return len(server.subscribed)

        await eventually(connected, lambda count: count == 1, seconds=8)
        await server.publish(TEXT, at=ago(seconds=5))

        async def sent() -> dict[str, int]:
            return server.counts()

        await eventually(sent, lambda counts: counts == {"shown": 1}, seconds=8)
        assert [headers["method"] for headers in server.batch_headers] == ["POST"]
        assert server.batch_headers[0]["origin"] == shop_server.origin
        assert json.dumps(shop_server.batches) == "[]"
