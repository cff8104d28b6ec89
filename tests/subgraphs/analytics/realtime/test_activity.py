"""The `siteActivity` subscription on the real live channel."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from subgraphs.analytics.models import Counter
from subgraphs.analytics.realtime.activity import INTERVAL, collected
from subgraphs.analytics.schema import schema
from subgraphs.kernel import db, live
from subgraphs.kernel.graphql.context import Context
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.live import Entry
from tests.fixtures.shop import Shop, new_shop

pytestmark = pytest.mark.usefixtures("stores")

ACTIVITY = """
subscription($site: ID!, $after: String) {
  siteActivity(siteId: $site, after: $after) {
    cursor more events { type occurredAt claimId text }
    counters { orders pageViews published shown clicked }
  }
}"""


async def subscribe(viewer: Viewer, site_id: UUID, after: str | None = None) -> Any:
    return await schema.subscribe(
        ACTIVITY,
        variable_values={"site": str(site_id), "after": after},
        context_value=Context(viewer),
    )


def entry(*texts: str, more: int = 0, **counters: int) -> dict[str, Any]:
    """The message that the stream worker publishes for a batch."""
    now = datetime.now(UTC).isoformat()
    shown = {"type": "claim.shown", "occurredAt": now, "claimId": str(uuid4())}
    events = [{**shown, "text": text} for text in texts]
    return {"counters": counters, "events": events, "more": more}


async def publish(shop: Shop, *entries: dict[str, Any]) -> list[str]:
    """Publish messages; returns their cursors."""
    channel = live.activity_of(shop.site_id)
    return await live.publish_all([(channel, new_id(), it) for it in entries])


async def publish_claims_shown(shop: Shop, *texts: str) -> list[str]:
    """Publish one message per shown claim; returns their cursors."""
    return await publish(shop, *(entry(text) for text in texts))


def texts_of(result: Any) -> list[str]:
    assert result.errors is None
    return [event["text"] for event in result.data["siteActivity"]["events"]]


async def test_activity_arrives_in_order_and_resumes_after_a_cursor() -> None:
    shop = await new_shop()
    cursors = await publish_claims_shown(shop, "a", "b", "c")

    async with aclosing(await subscribe(shop.owner, shop.site_id, after="0-0")) as messages:
        first = await anext(messages)
        await publish_claims_shown(shop, "d")
        second = await anext(messages)
    async with aclosing(await subscribe(shop.owner, shop.site_id, after=cursors[1])) as messages:
        again = await anext(messages)

    assert texts_of(first) == ["a", "b", "c"]
    assert first.data["siteActivity"]["cursor"] == cursors[2]
    assert texts_of(second) == ["d"]
    assert texts_of(again) == ["c", "d"]


async def test_counters_are_absolute_and_start_with_the_ledgers() -> None:
    shop = await new_shop()
    async with db.service_transaction() as session:
        session.add(
            Counter(site_id=shop.site_id, account_id=shop.account_id, metric="shown", value=7)
        )
    first = entry("a", shown=5, published=2, orders=3)
    cursors = await publish(shop, first, entry("b", shown=9), entry(page_views=4))

    async def counters_after(cursor: str) -> Any:
        async with aclosing(await subscribe(shop.owner, shop.site_id, after=cursor)) as messages:
            return (await anext(messages)).data["siteActivity"]["counters"]

    nothing = {"orders": 0, "pageViews": 0, "published": 0, "shown": 7, "clicked": 0}
    viewed = {**nothing, "pageViews": 4}
    assert await counters_after("0-0") == {**viewed, "orders": 3, "published": 2, "shown": 9}
    assert await counters_after(cursors[0]) == {**viewed, "shown": 9}
    assert await counters_after(cursors[1]) == viewed
    await publish(shop, entry("c", shown=6))  # an older message that arrives late
    assert await counters_after(cursors[2]) == nothing


async def test_a_message_has_the_latest_events_and_counts_the_rest() -> None:
    shop = await new_shop()
    texts = [str(number) for number in range(60)]
    await publish(shop, entry(*texts[:50], more=7), entry(*texts[50:], more=1, shown=68))

    async with aclosing(await subscribe(shop.owner, shop.site_id, after="0-0")) as messages:
        message = await anext(messages)

    assert texts_of(message) == texts[10:]
    assert message.data["siteActivity"]["more"] == 7 + 1 + 10
    assert message.data["siteActivity"]["counters"]["shown"] == 68


async def test_a_busy_site_sends_two_messages_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleep = asyncio.sleep
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        if seconds != INTERVAL:
            await sleep(seconds)
            return
        pauses.append(seconds)
        for _ in range(
            1_000
        ):  # turns of the event loop: enough for more entries than a message has
            await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pause)

    async def torrent() -> AsyncIterator[Entry]:
        number = 0
        while True:
            number += 1
            yield Entry(f"{number}-0", UUID(int=number), {"number": number})
            await sleep(0)

    got: list[list[int]] = []
    async with aclosing(collected(torrent(), limit=200)) as lists:
        async for entries in lists:
            got.append([entry.data["number"] for entry in entries])
            assert pauses == [0.5] * (len(got) - 1)
            if len(got) == 4:
                break

    seen = [number for numbers in got for number in numbers]
    assert seen == list(range(1, len(seen) + 1))
    assert [len(numbers) for numbers in got[1:]] == [200, 200, 200]


async def test_a_broken_channel_raises_its_error() -> None:
    async def breaking() -> AsyncIterator[Entry]:
        yield Entry("1-0", UUID(int=1), {"text": "a"})
        raise RuntimeError("broken")

    lists = collected(breaking(), interval=0.01)
    assert [entry.cursor for entry in await anext(lists)] == ["1-0"]
    with pytest.raises(RuntimeError, match="broken"):
        await anext(lists)


async def test_another_tenants_site_is_not_found() -> None:
    shop, other = await new_shop(), await new_shop()

    for viewer, site_id, code in (
        (shop.owner, other.site_id, "NOT_FOUND"),
        (shop.owner, uuid4(), "NOT_FOUND"),
        (NOBODY, shop.site_id, "UNAUTHENTICATED"),
        (shop.storefront, shop.site_id, "FORBIDDEN"),
    ):
        result = await anext(await subscribe(viewer, site_id, after="0-0"))
        assert [error.extensions["code"] for error in result.errors] == [code]
        assert result.data is None
