"""Claims as the stream worker makes them, on the real PostgreSQL."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from subgraphs.kernel import db
from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.ids import derived_id
from subgraphs.kernel.streams.envelope import Event
from subgraphs.notifications import claim_rendering, claims, service, template_cache
from subgraphs.notifications.models import Claim
from subgraphs.notifications.schema import schema
from tests.fixtures.graph import counted_statements, run
from tests.fixtures.shop import Shop, new_shop

pytestmark = pytest.mark.usefixtures("stores")

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CLAIMS = """
query($id: ID!, $first: Int = 20, $after: String) {
  notification(id: $id) {
    claims(first: $first, after: $after) {
      edges {
        node { id cursor text url occurredAt sourceEventIds site { id } notification { id } }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""


@dataclass
class Configured:
    """A shop with one active notification."""

    shop: Shop
    notification_id: UUID


@pytest.fixture
async def configured() -> Configured:
    shop = await new_shop()
    return Configured(shop, await notification(shop, "ACTIVE"))


async def notification(shop: Shop, status: str, body: str | None = None) -> UUID:
    async with db.transaction(shop.owner) as session:
        row = await service.create(
            session,
            account_id=shop.account_id,
            site_id=shop.site_id,
            name="Orders",
            type_="RECENT_ORDER",
            body=body,
        )
        row.status = status
    await template_cache.invalidate(shop.site_id)
    return row.id


async def set_status(shop: Shop, notification_id: UUID, status: str) -> None:
    async with db.transaction(shop.owner) as session:
        row = await service.get(session, notification_id=notification_id, lock=True)
        row.status = status
    await template_cache.invalidate(shop.site_id)


def order(shop: Shop, number: int = 1, **payload: object) -> Event:
    occurred_at = NOON + timedelta(minutes=number)
    return Event(
        id=derived_id(occurred_at, shop.site_id, number),
        site_id=shop.site_id,
        account_id=shop.account_id,
        type="order.created",
        occurred_at=occurred_at,
        captured_at=occurred_at + timedelta(seconds=1),
        source="shopify",
        payload={"firstName": "Anna", "city": "Oslo", "product": f"Shoe {number}", **payload},
    )


async def made_of(*events: Event) -> list[Claim]:
    async with db.service_transaction() as session:
        return await claim_rendering.render_claims(session, events)


async def stored(*events: Event) -> list[Claim]:
    async with db.service_transaction() as session:
        return await claims.save_claims(
            session, await claim_rendering.render_claims(session, events)
        )


async def published(*events: Event) -> list[Claim]:
    rows = await stored(*events)
    async with db.service_transaction() as session:
        await claims.set_cursors(
            session, {claim.id: f"{number}-0" for number, claim in enumerate(rows, 1)}
        )
    return rows


async def test_each_active_notification_makes_one_claim_per_order(configured: Configured) -> None:
    shop = configured.shop
    second = await notification(shop, "ACTIVE", "{{ product }} sold in {{ city }}")
    for status in ("DRAFT", "PAUSED", "ARCHIVED"):
        await notification(shop, status)
    event = order(shop)

    rendered = await made_of(event)

    assert [(claim.notification_id, claim.text) for claim in rendered] == [
        (configured.notification_id, "Anna from Oslo bought Shoe 1"),
        (second, "Shoe 1 sold in Oslo"),
    ]
    first = rendered[0]
    assert (first.site_id, first.account_id) == (shop.site_id, shop.account_id)
    assert (first.source_event_ids, first.occurred_at) == ([event.id], event.occurred_at)
    assert first.url is None
    assert timedelta(0) <= datetime.now(UTC) - first.published_at < timedelta(seconds=10)


async def test_other_event_types_and_other_sites_make_no_claim(configured: Configured) -> None:
    elsewhere = await new_shop()
    seen = msgspec.structs.replace(order(configured.shop), type="claim.shown")

    assert await made_of(seen, order(elsewhere)) == []


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://shop.example.com/blue?x=1", "https://shop.example.com/blue?x=1"),
        ("http://shop.example.com/", None),
        ("javascript:alert(1)", None),
        ("https:///nowhere", None),
        ("https://[broken", None),
        ("https://shop.example.com/" + "x" * 2_000, None),
        ("https://shop.example.com/\x00", None),
        (7, None),
    ],
)
async def test_only_https_urls_are_kept(
    configured: Configured, address: object, kept: str | None
) -> None:
    (claim,) = await made_of(order(configured.shop, productUrl=address))

    assert claim.url == kept


async def test_saving_again_does_not_change_a_stored_claim(configured: Configured) -> None:
    shop = configured.shop
    one, two, three = (order(shop, number) for number in (1, 2, 3))
    first = await stored(two, one)

    again = await stored(one, three, two, one)

    by_text = {claim.text: claim for claim in again}
    assert [claim.text[-1] for claim in first] == ["2", "1"]
    assert [claim.text[-1] for claim in again] == ["1", "3", "2", "1"]
    for claim in first:
        assert by_text[claim.text].id == claim.id
        assert by_text[claim.text].published_at == claim.published_at
    async with db.service_transaction() as session:
        kept = await claims.get_many(session, {claim.id for claim in again})
    assert len(kept) == 3
    assert all(claim.source_event_ids for claim in kept.values())


async def test_a_stored_claim_is_returned_after_its_notification_was_paused(
    configured: Configured,
) -> None:
    shop = configured.shop
    before, after = order(shop, 1), order(shop, 2)
    (claim,) = await stored(before)
    await set_status(shop, configured.notification_id, "PAUSED")

    again = await stored(before, after)

    assert [(row.id, row.published_at) for row in again] == [(claim.id, claim.published_at)]


async def test_a_batch_costs_two_statements_and_a_third_to_fill_the_cache(
    configured: Configured,
) -> None:
    async def cost(count: int) -> int:
        events = [order(configured.shop, number) for number in range(count)]
        with counted_statements() as seen:
            await published(*events)
        return len(seen)

    assert [await cost(1), await cost(500)] == [3, 2]


async def test_an_empty_batch_sends_no_statement() -> None:
    with counted_statements() as seen:
        async with db.service_transaction() as session:
            assert await claim_rendering.render_claims(session, []) == []
            assert await claims.save_claims(session, []) == []
            assert await claims.get_many(session, set()) == {}
            await claims.set_cursors(session, {})

    assert seen == []


async def test_a_claim_message_is_json_with_the_source_event_ids(
    configured: Configured,
) -> None:
    event = order(configured.shop, productUrl="https://shop.example.com/blue")
    (claim,) = await stored(event)

    message = claims.claim_message(claim)

    assert msgspec.json.decode(msgspec.json.encode(message)) == message
    assert message == {
        "id": str(claim.id),
        "text": "Anna from Oslo bought Shoe 1",
        "url": "https://shop.example.com/blue",
        "occurredAt": "2026-11-24T12:01:00+00:00",
        "publishedAt": claim.published_at.isoformat(),
        "notificationId": str(configured.notification_id),
        "siteId": str(configured.shop.site_id),
        "sourceEventIds": [str(event.id)],
    }


async def test_published_claims_are_listed_newest_order_first(configured: Configured) -> None:
    shop, id_ = configured.shop, str(configured.notification_id)
    one, two = await published(order(shop, 1), order(shop, 2))
    await stored(order(shop, 3))  # not published yet

    first = (await run(schema, shop.owner, CLAIMS, id=id_, first=1)).data["notification"]["claims"]
    rest = await run(schema, shop.owner, CLAIMS, id=id_, after=first["pageInfo"]["endCursor"])

    assert [edge["node"]["id"] for edge in first["edges"]] == [str(two.id)]
    assert first["pageInfo"]["hasNextPage"]
    assert [edge["node"] for edge in rest.data["notification"]["claims"]["edges"]] == [
        {
            "id": str(one.id),
            "cursor": "1-0",
            "text": "Anna from Oslo bought Shoe 1",
            "url": None,
            "occurredAt": "2026-11-24T12:01:00+00:00",
            "sourceEventIds": [str(one.source_event_ids[0])],
            "site": {"id": str(shop.site_id)},
            "notification": {"id": id_},
        }
    ]


async def test_a_reference_resolves_published_claims_of_the_own_account_only(
    configured: Configured,
) -> None:
    eve = await new_shop()
    (shown,) = await published(order(configured.shop, 1))
    (hidden,) = await stored(order(configured.shop, 2))
    document = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Claim { text } } }"

    async def seen_by(viewer: Viewer) -> object:
        ids = (shown.id, hidden.id, uuid4())
        requested = [{"__typename": "Claim", "id": str(id_)} for id_ in ids]
        return (await run(schema, viewer, document, r=requested)).data["_entities"]

    assert await seen_by(configured.shop.owner) == [
        {"text": "Anna from Oslo bought Shoe 1"},
        None,
        None,
    ]
    assert await seen_by(eve.owner) == [None, None, None]
