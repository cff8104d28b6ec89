"""Subscribing to a site's claims through the schema, on the real PostgreSQL and Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from strawberry.types import ExecutionResult

from subgraphs.kernel import live
from subgraphs.kernel.graphql.context import Context
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.kernel.ids import new_id
from subgraphs.notifications.claims import claim_message
from subgraphs.notifications.models import Claim
from subgraphs.notifications.schema import schema
from tests.fixtures.graph import counted_statements
from tests.fixtures.shop import Shop, new_shop

pytestmark = pytest.mark.usefixtures("stores")

LIVE = """
subscription($key: String!, $after: String) {
  liveNotifications(siteKey: $key, after: $after) {
    id cursor text url occurredAt publishedAt sourceEventIds site { id }
  }
}"""
BEFORE_ALL = "0-0"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
async def shop() -> Shop:
    return await new_shop()


@asynccontextmanager
async def subscribed(
    viewer: Viewer, key: str, after: str | None = None, document: str = LIVE
) -> AsyncIterator[Any]:
    """The results of a subscription, as `graphql-transport-ws` would send them on."""
    source = await schema.subscribe(
        document, variable_values={"key": key, "after": after}, context_value=Context(viewer)
    )
    async with asyncio.timeout(10), aclosing(source) as results:
        yield results


async def refusal(viewer: Viewer, key: str, after: str | None = None) -> list[object]:
    async with subscribed(viewer, key, after) as results:
        first: ExecutionResult = await anext(results)
    assert first.data is None
    return [(error.extensions or {})["code"] for error in first.errors or []]


def claim(shop: Shop, text: str) -> Claim:
    return Claim(
        id=new_id(),
        account_id=shop.account_id,
        site_id=shop.site_id,
        notification_id=new_id(),
        source_event_ids=[UUID(int=7)],
        text=text,
        url="https://shop.example.com/blue",
        occurred_at=NOON,
        published_at=NOON,
    )


async def publish(made: Claim) -> str:
    return await live.publish(live.claims_of(made.site_id), made.id, claim_message(made))


async def test_a_published_claim_is_delivered_without_sql(shop: Shop) -> None:
    async with subscribed(shop.storefront, shop.site_key, BEFORE_ALL) as results:
        first = claim(shop, "Anna bought Blue Shoes")
        await publish(first)
        await anext(results)  # the site key has been looked up
        second = claim(shop, "Bo bought Laces")
        with counted_statements() as statements:
            cursor = await publish(second)
            result = await anext(results)

    assert (result.errors, statements) == (None, [])
    assert result.data == {
        "liveNotifications": {
            "id": str(second.id),
            "cursor": cursor,
            "text": "Bo bought Laces",
            "url": "https://shop.example.com/blue",
            "occurredAt": "2026-11-24T12:00:00+00:00",
            "publishedAt": "2026-11-24T12:00:00+00:00",
            "sourceEventIds": [str(UUID(int=7))],
            "site": {"id": str(shop.site_id)},
        }
    }


async def test_resuming_after_a_cursor_neither_misses_nor_repeats_claims(shop: Shop) -> None:
    cursors = [await publish(claim(shop, text)) for text in ("one", "two", "three")]

    async with subscribed(shop.storefront, shop.site_key, cursors[0]) as results:
        seen = [(await anext(results)).data["liveNotifications"] for _ in range(2)]

    assert [(one["text"], one["cursor"]) for one in seen] == [
        ("two", cursors[1]),
        ("three", cursors[2]),
    ]


async def test_without_a_cursor_only_new_claims_are_delivered(shop: Shop) -> None:
    await publish(claim(shop, "before"))

    async with subscribed(shop.storefront, shop.site_key) as results:
        waiting = asyncio.ensure_future(anext(results))
        while not waiting.done():  # until the first that comes after the subscription stands
            await publish(claim(shop, "after"))
            await asyncio.wait({waiting}, timeout=0.05)

    assert waiting.result().data["liveNotifications"]["text"] == "after"


async def test_another_sites_key_is_rejected(shop: Shop) -> None:
    other = await new_shop()
    await publish(claim(shop, "Anna bought Blue Shoes"))

    assert await refusal(other.storefront, shop.site_key, BEFORE_ALL) == ["NOT_FOUND"]
    assert await refusal(shop.storefront, "pk_there_is_none", BEFORE_ALL) == ["NOT_FOUND"]
    assert await refusal(shop.owner, shop.site_key, BEFORE_ALL) == ["FORBIDDEN"]
    assert await refusal(NOBODY, shop.site_key, BEFORE_ALL) == ["UNAUTHENTICATED"]


@pytest.mark.parametrize("after", ["", "nonsense", "1", "1-1-1", str(UUID(int=7))])
async def test_an_invalid_cursor_is_rejected(shop: Shop, after: str) -> None:
    assert await refusal(shop.storefront, shop.site_key, after) == ["BAD_USER_INPUT"]


async def test_a_storefront_cannot_read_a_claims_notification(shop: Shop) -> None:
    document = """
    subscription($key: String!, $after: String) {
      liveNotifications(siteKey: $key, after: $after) { text notification { name } }
    }"""
    await publish(claim(shop, "Anna bought Blue Shoes"))

    async with subscribed(shop.storefront, shop.site_key, BEFORE_ALL, document) as results:
        result = await anext(results)

    assert result.data == {
        "liveNotifications": {"text": "Anna bought Blue Shoes", "notification": None}
    }
    assert [error.extensions["code"] for error in result.errors] == ["FORBIDDEN"]
