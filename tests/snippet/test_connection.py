"""One subscription that outlives its connections."""

from datetime import UTC, datetime

from playwright.async_api import BrowserContext, expect

from tests.fixtures.deadline import eventually
from tests.snippet.shop import Shop, ago, open_shop
from tests.snippet.stand import TAG, Stand

HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def _close_next(shop: Shop) -> str | None:
    await shop.card.wait_for()
    text = await shop.card.locator(".text").text_content()
    await shop.close.click()
    await expect(shop.card).to_have_count(0)
    return text


async def test_resumes_after_the_last_claim(context: BrowserContext, stand: Stand) -> None:
    shop = await open_shop(context, stand)
    first = await stand.publish("First", at=ago(seconds=5))
    assert await _close_next(shop) == "First"

    await stand.drop()
    second = await stand.publish("Second, while away", at=ago(seconds=4))
    await shop.subscribed(2)
    assert await _close_next(shop) == "Second, while away"
    await stand.drop()
    await shop.subscribed(3)
    await stand.publish("Third", at=ago(seconds=3))
    assert await _close_next(shop) == "Third"

    assert [one["a"] for one in stand.subscribed] == [None, first["cursor"], second["cursor"]]
    await shop.sent(shown=3, dismissed=3)


async def test_a_claim_that_comes_twice_is_shown_once(
    context: BrowserContext, stand: Stand
) -> None:
    shop = await open_shop(context, stand)
    claim = await stand.publish("Once", at=ago(seconds=5))
    assert await _close_next(shop) == "Once"

    again = {"id": "1", "type": "next", "payload": {"data": {"liveNotifications": claim}}}
    await stand.say(again)
    await stand.publish("Twice is too often", at=ago(seconds=5))

    assert await _close_next(shop) == "Twice is too often"
    await shop.sent(shown=2, dismissed=2)


async def test_stops_at_a_refused_key(context: BrowserContext, stand: Stand) -> None:
    stand.refuse_key = True
    page = await context.new_page()
    await page.clock.install(time=datetime.now(UTC))
    shop = Shop(page, stand)
    await page.goto(stand.origin)

    async def console() -> list[str]:
        return shop.console

    warning = "warning: proofgraph: the site key was refused, nothing will be shown"
    await eventually(console, lambda lines: lines == [warning], seconds=8)
    await page.clock.run_for(600_000)
    await page.evaluate("dispatchEvent(new Event('online'))")
    assert stand.inits == [{"siteKey": "pk_test"}]


async def test_starts_anew_when_its_place_is_unknown(context: BrowserContext, stand: Stand) -> None:
    shop = await open_shop(context, stand)
    await stand.publish("First", at=ago(seconds=5))
    await shop.heard("shown")

    error = [{"message": "Unknown cursor.", "extensions": {"code": "BAD_USER_INPUT"}}]
    await stand.say({"id": "1", "type": "error", "payload": error})

    await shop.subscribed(2)
    assert [one["a"] for one in stand.subscribed] == [None, None]


async def test_answers_pings(context: BrowserContext, stand: Stand) -> None:
    await open_shop(context, stand)
    await stand.say({"type": "ping"})

    async def pongs() -> int:
        return stand.pongs

    await eventually(pongs, lambda count: count == 1, seconds=8)


async def test_gives_up_a_connection_that_fell_silent(
    context: BrowserContext, stand: Stand
) -> None:
    # This stand never answers a ping.
    shop = await open_shop(context, stand, clock=datetime.now(UTC))
    await shop.page.clock.run_for(61_000)
    await shop.page.clock.run_for(1_000)
    await shop.subscribed(2)


async def test_two_tags_are_one(context: BrowserContext, stand: Stand) -> None:
    stand.tags = TAG + TAG
    shop = await open_shop(context, stand)

    await stand.publish("Once", at=ago(seconds=5))
    await shop.sent(shown=1)

    assert await shop.page.locator("proofgraph-toast").count() == 1
    assert len(stand.inits) == 1


async def test_survives_an_app_that_replaces_the_page(
    context: BrowserContext, stand: Stand
) -> None:
    shop = await open_shop(context, stand)
    await shop.evaluate("document.querySelector('proofgraph-toast').remove()")
    await shop.evaluate("document.body.replaceChildren()")
    await shop.evaluate("history.pushState(null, '', '/elsewhere')")

    await stand.publish("Still here", at=ago(seconds=5))
    await shop.sent(shown=1)

    assert stand.events[0]["page"] == "/elsewhere"


async def test_a_hidden_tab_shows_nothing_and_lets_go(
    context: BrowserContext, stand: Stand
) -> None:
    shop = await open_shop(context, stand, clock=datetime.now(UTC))
    first = await stand.publish("Before", at=ago(seconds=5))
    assert await _close_next(shop) == "Before"
    await shop.page.clock.run_for(1_000)

    await shop.page.evaluate(HIDE, True)
    await stand.publish("While hidden", at=ago(seconds=5))
    await shop.heard("received", 2)
    await shop.page.clock.run_for(20_000)
    await expect(shop.card).to_have_count(0)
    await shop.page.clock.run_for(20_000)
    await stand.drop()  # nobody is left: it has closed by itself
    late = await stand.publish("While away", at=ago(seconds=5))
    await shop.page.clock.run_for(120_000)
    assert len(stand.subscribed) == 1

    await shop.page.evaluate(HIDE, False)
    await shop.subscribed(2)
    assert stand.subscribed[1]["a"] == stand.claims[1]["cursor"]
    assert stand.claims[0] == first
    assert stand.claims[2] == late
    assert await _close_next(shop) == "While hidden"
    await shop.page.clock.run_for(1_000)
    assert await _close_next(shop) == "While away"


async def test_comes_back_from_the_back_forward_cache(
    context: BrowserContext, stand: Stand
) -> None:
    shop = await open_shop(context, stand)
    claim = await stand.publish("Before", at=ago(seconds=5))
    assert await _close_next(shop) == "Before"

    await shop.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    await stand.publish("While away", at=ago(seconds=5))
    await shop.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")

    assert await _close_next(shop) == "While away"
    assert stand.subscribed[1]["a"] == claim["cursor"]


async def test_a_lost_network_is_awaited(context: BrowserContext, stand: Stand) -> None:
    shop = await open_shop(context, stand)
    await stand.publish("Before", at=ago(seconds=5))
    assert await _close_next(shop) == "Before"

    await context.set_offline(True)
    await stand.publish("While offline", at=ago(seconds=5))
    await context.set_offline(False)

    assert await _close_next(shop) == "While offline"
    await shop.sent(shown=2, dismissed=2)
