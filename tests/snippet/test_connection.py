"""The snippet's subscription: reconnecting, resuming, pausing."""

from datetime import UTC, datetime

from playwright.async_api import BrowserContext, expect

from tests.fixtures.deadline import eventually
from tests.snippet.server import TAG, Server
from tests.snippet.shop_page import RECORDER, ShopPage, ago, open_shop

HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def _read_and_close(shop: ShopPage) -> str | None:
    """Wait for the next toast, close it and return its text."""
    await shop.card.wait_for()
    text = await shop.card.locator(".text").text_content()
    await shop.close.click()
    await expect(shop.card).to_have_count(0)
    return text


async def test_resumes_after_the_last_claim(context: BrowserContext, server: Server) -> None:
    shop = await open_shop(context, server)
    first = await server.publish("First", at=ago(seconds=5))
    assert await _read_and_close(shop) == "First"

    await server.disconnect_all()
    second = await server.publish("Second, while disconnected", at=ago(seconds=4))
    await shop.wait_until_subscribed(2)
    assert await _read_and_close(shop) == "Second, while disconnected"
    await server.disconnect_all()
    await shop.wait_until_subscribed(3)
    await server.publish("Third", at=ago(seconds=3))
    assert await _read_and_close(shop) == "Third"

    assert [one["a"] for one in server.subscribed] == [None, first["cursor"], second["cursor"]]
    await shop.wait_until_sent(shown=3, dismissed=3)


async def test_shows_a_claim_that_arrives_twice_once(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server)
    claim = await server.publish("Once", at=ago(seconds=5))
    assert await _read_and_close(shop) == "Once"

    again = {"id": "1", "type": "next", "payload": {"data": {"liveNotifications": claim}}}
    await server.send(again)
    await server.publish("Another", at=ago(seconds=5))

    assert await _read_and_close(shop) == "Another"
    await shop.wait_until_sent(shown=2, dismissed=2)


async def test_does_not_retry_with_a_refused_key(context: BrowserContext, server: Server) -> None:
    server.refuse_key = True
    page = await context.new_page()
    await page.clock.install(time=datetime.now(UTC))
    await page.add_init_script(RECORDER)
    shop = ShopPage(page, server)
    await page.goto(server.origin)

    async def console() -> list[str]:
        return shop.console

    warning = "warning: proofgraph: the server refused the site key; no claims will be shown"
    await eventually(console, lambda lines: lines == [warning], seconds=8)
    await page.clock.run_for(600_000)
    await page.evaluate("dispatchEvent(new Event('online'))")
    assert server.inits == [{"siteKey": "pk_test"}]
    assert await page.evaluate("domEvents") == ["disconnected", "refused"]


async def test_resumes_from_now_when_the_cursor_is_unknown(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server)
    await server.publish("First", at=ago(seconds=5))
    await shop.wait_for_dom_event("shown")

    error = [{"message": "Unknown cursor.", "extensions": {"code": "BAD_USER_INPUT"}}]
    await server.send({"id": "1", "type": "error", "payload": error})

    await shop.wait_until_subscribed(2)
    assert [one["a"] for one in server.subscribed] == [None, None]


async def test_answers_pings(context: BrowserContext, server: Server) -> None:
    await open_shop(context, server)
    await server.send({"type": "ping"})

    async def pongs() -> int:
        return server.pongs

    await eventually(pongs, lambda count: count == 1, seconds=8)


async def test_reconnects_when_the_server_is_silent(
    context: BrowserContext, server: Server
) -> None:
    # This server answers no pings.
    shop = await open_shop(context, server, clock=datetime.now(UTC))
    await shop.page.clock.run_for(61_000)
    await shop.page.clock.run_for(1_000)
    await shop.wait_until_subscribed(2)


async def test_two_script_tags_start_one_snippet(context: BrowserContext, server: Server) -> None:
    server.tags = TAG + TAG
    shop = await open_shop(context, server)

    await server.publish("Once", at=ago(seconds=5))
    await shop.wait_until_sent(shown=1)

    assert await shop.page.locator("proofgraph-toast").count() == 1
    assert len(server.inits) == 1


async def test_works_on_after_an_app_has_replaced_the_page(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server)
    await shop.evaluate("document.querySelector('proofgraph-toast').remove()")
    await shop.evaluate("document.body.replaceChildren()")
    await shop.evaluate("history.pushState(null, '', '/elsewhere')")

    await server.publish("After the replacement", at=ago(seconds=5))
    await shop.wait_until_sent(shown=1)

    assert server.events[0]["page"] == "/elsewhere"


async def test_a_hidden_tab_shows_nothing_and_disconnects(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server, clock=datetime.now(UTC))
    first = await server.publish("Before", at=ago(seconds=5))
    assert await _read_and_close(shop) == "Before"
    await shop.page.clock.run_for(1_000)

    await shop.page.evaluate(HIDE, True)
    await server.publish("While hidden", at=ago(seconds=5))
    await shop.wait_for_dom_event("received", 2)
    await shop.page.clock.run_for(20_000)
    await expect(shop.card).to_have_count(0)
    await shop.page.clock.run_for(20_000)
    await server.disconnect_all()  # the tab has disconnected: this changes nothing
    late = await server.publish("While disconnected", at=ago(seconds=5))
    await shop.page.clock.run_for(120_000)
    assert len(server.subscribed) == 1

    await shop.page.evaluate(HIDE, False)
    await shop.wait_until_subscribed(2)
    assert server.subscribed[1]["a"] == server.claims[1]["cursor"]
    assert server.claims[0] == first
    assert server.claims[2] == late
    assert await _read_and_close(shop) == "While hidden"
    await shop.page.clock.run_for(1_000)
    assert await _read_and_close(shop) == "While disconnected"


async def test_resumes_after_the_back_forward_cache(
    context: BrowserContext, server: Server
) -> None:
    shop = await open_shop(context, server)
    claim = await server.publish("Before", at=ago(seconds=5))
    assert await _read_and_close(shop) == "Before"

    await shop.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    await server.publish("While disconnected", at=ago(seconds=5))
    await shop.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")

    assert await _read_and_close(shop) == "While disconnected"
    assert server.subscribed[1]["a"] == claim["cursor"]


async def test_resumes_when_the_network_is_back(context: BrowserContext, server: Server) -> None:
    shop = await open_shop(context, server)
    await server.publish("Before", at=ago(seconds=5))
    assert await _read_and_close(shop) == "Before"

    await context.set_offline(True)
    await server.publish("While offline", at=ago(seconds=5))
    await context.set_offline(False)

    assert await _read_and_close(shop) == "While offline"
    events = await shop.evaluate("domEvents.filter((one) => /ready|connected/.test(one))")
    assert events == ["ready", "disconnected", "ready"]
    await shop.wait_until_sent(shown=2, dismissed=2)
