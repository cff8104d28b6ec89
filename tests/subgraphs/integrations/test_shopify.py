"""Shopify's orders, normalised to source events."""

import json
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.demo.shopify import order as shopify_order
from subgraphs.integrations.models import ReceivedWebhook
from subgraphs.integrations.service import normalise
from subgraphs.integrations.sources import Unreadable
from subgraphs.kernel.ids import derived_id

SITE, ACCOUNT = UUID(int=2), UUID(int=3)
PLACED = datetime(2026, 11, 24, 9, 30, tzinfo=timezone(timedelta(hours=-5)))
RECEIVED = datetime(2026, 11, 24, 14, 30, 2, tzinfo=UTC)


def an_order(**changes: Any) -> dict[str, Any]:
    dice = Random(7)  # noqa: S311  (the same order every time)
    return {**shopify_order(number=1001, placed=PLACED, rng=dice), **changes}


def item(content: object, topic: str = "orders/create") -> ReceivedWebhook:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return ReceivedWebhook(
        id=UUID(int=4),
        site_id=SITE,
        account_id=ACCOUNT,
        topic=topic,
        body=body,
        received_at=RECEIVED,
    )


def payload_of(**changes: Any) -> dict[str, Any]:
    (event,) = normalise(item(an_order(**changes)))
    return event.payload


def address(**fields: object) -> dict[str, object]:
    return {"first_name": "Anna", "last_name": "Berg", "city": "Oslo", **fields}


def test_an_order_becomes_one_event_with_its_public_fields() -> None:
    content = an_order(
        customer={"first_name": "Anna", "last_name": "Berg", "email": "anna@example.com"},
        billing_address=address(country="Norway", country_code="NO", address1="1 Road"),
        total_price="178.50",
        line_items=[{"title": "Blue Shoes", "quantity": 2}, {"title": "Laces", "quantity": 1}],
    )

    (event,) = normalise(item(content))

    assert event.id == derived_id(
        event.occurred_at, SITE, "shopify", "order.created", "5600000001001"
    )
    assert (event.site_id, event.account_id) == (SITE, ACCOUNT)
    assert (event.type, event.source) == ("order.created", "shopify")
    assert event.occurred_at == PLACED
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert (event.captured_at, event.visitor_id) == (RECEIVED, None)
    assert event.payload == {
        "orderId": "5600000001001",
        "orderName": "#1001",
        "firstName": "Anna",
        "city": "Oslo",
        "country": "NO",
        "countryName": "Norway",
        "product": "Blue Shoes",
        "quantity": 2,
        "total": {"amountMinor": 17850, "currency": "EUR"},
    }


@pytest.mark.parametrize(
    ("notes", "visitor"),
    [
        ([{"name": "gift", "value": "yes"}, {"name": "proofgraph_visitor", "value": "v-1"}], "v-1"),
        ([{"name": "proofgraph_visitor", "value": n} for n in ("v-1", "v-2")], "v-2"),
        ([{"name": "proofgraph_visitor", "value": "x" * 101}], None),
        ([{"name": "proofgraph_visitor", "value": ""}], None),
        ([{"name": "proofgraph_visitor", "value": 7}], None),
        ([{"name": "proofgraph_visitor", "value": "a\x00"}], None),
        ([{"name": ["?"]}, {}], None),
        ([], None),
        (None, None),
    ],
)
def test_the_visitor_id_comes_from_the_cart_attributes(notes: object, visitor: str | None) -> None:
    (event,) = normalise(item(an_order(note_attributes=notes)))
    assert event.visitor_id == visitor


def test_reading_an_order_twice_makes_the_same_event() -> None:
    assert normalise(item(an_order())) == normalise(item(an_order()))


def test_the_event_has_no_other_data_of_the_buyer() -> None:
    content = an_order()
    buyer, home = content["customer"], content["billing_address"]

    (event,) = normalise(item(content))

    kept = json.dumps(event.payload, ensure_ascii=False)
    private = [
        buyer["last_name"],
        buyer["email"],
        home["address1"],
        home["zip"],
        home["phone"],
        content["browser_ip"],
        content["order_status_url"],
    ]
    assert [value for value in private if value in kept] == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Anna", "Anna"),
        (" Anna  Berg ", "Anna"),
        ("Jean-Pierre", "Jean-Pierre"),
        ("Zoë", "Zoë"),
        ("由紀", "由紀"),
        ("An\x00na\u202e", "Anna"),
        ("x" * 50, "x" * 39 + "…"),
        ("anna@example.com", None),
        ("+47 22 22 22 22", None),
        ("  ", None),
        (None, None),
    ],
)
def test_a_first_name_is_one_word_and_no_address(written: str | None, shown: str | None) -> None:
    changes = {"customer": {"first_name": written}, "billing_address": None}

    assert payload_of(**changes, shipping_address=None)["firstName"] == shown


@pytest.mark.parametrize(
    ("billing", "shipping", "seen"),
    [
        (address(), address(city="Bergen"), ("Anna", "Oslo")),
        (None, address(city="Bergen"), ("Anna", "Bergen")),
        (None, address(first_name="Ola", city="Bergen"), ("Anna", None)),
        (None, None, ("Anna", None)),
        (address(city="12 Example Street"), None, ("Anna", None)),
        (address(city=None), None, ("Anna", None)),
    ],
)
def test_the_city_is_the_buyers_not_the_recipients(
    billing: object, shipping: object, seen: tuple[str, str | None]
) -> None:
    payload = payload_of(
        customer={"first_name": "Anna"}, billing_address=billing, shipping_address=shipping
    )

    assert (payload["firstName"], payload["city"]) == seen


def test_without_a_customer_the_address_names_the_buyer() -> None:
    assert payload_of(customer=None, billing_address=address())["firstName"] == "Anna"
    shipped = payload_of(customer=None, billing_address=None, shipping_address=address())
    assert (shipped["firstName"], shipped["city"]) == ("Anna", "Oslo")


def test_a_hostile_product_name_becomes_one_short_line() -> None:
    items = [{"title": "<img src=x>\n{{ 7 | times: 7 }}\x00" + "x" * 300}]

    product = payload_of(line_items=items)["product"]

    assert product.startswith("<img src=x> {{ 7 | times: 7 }}xxx")
    assert len(product) == 120


@pytest.mark.parametrize(
    "changes",
    [
        {"test": True},
        {"cancelled_at": "2026-11-24T09:31:00-05:00"},
        {"financial_status": "voided"},
        {"financial_status": "expired"},
        {"financial_status": "refunded"},
    ],
)
def test_an_order_without_a_purchase_makes_no_event(changes: dict[str, object]) -> None:
    assert normalise(item(an_order(**changes))) == []


@pytest.mark.parametrize("status", ["pending", "authorized", "paid", "partially_paid", None])
def test_an_unpaid_order_makes_an_event(status: str | None) -> None:
    assert len(normalise(item(an_order(financial_status=status)))) == 1


@pytest.mark.parametrize("topic", ["orders/updated", "products/create", "app/uninstalled", ""])
def test_the_body_of_an_unused_topic_is_not_parsed(topic: str) -> None:
    assert normalise(item(b"\xff", topic)) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"id": None}, "`$.id`"),
        ({"id": True}, "`$.id`"),
        ({"created_at": "yesterday"}, "`$.created_at`"),
        ({"created_at": "2026-11-24T09:30:00"}, "timezone"),
        ({"created_at": "2026-11-24T16:00:00Z"}, "more than an hour ahead or five years old"),
        ({"created_at": "2001-01-01T00:00:00Z"}, "more than an hour ahead or five years old"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "more than an hour ahead or five years old"),
        ({"created_at": "9999-12-31T23:59:59-14:00"}, "more than an hour ahead or five years old"),
        ({"line_items": []}, "no line items"),
        ({"line_items": None}, "`$.line_items`"),
        ({"line_items": [{"title": " \u200b"}]}, "no title or no quantity"),
        ({"line_items": [{"title": "Shoes", "quantity": 0}]}, "no title or no quantity"),
        ({"line_items": [{"title": 7}]}, "`$.line_items[0].title`"),
        ({"total_price": "free"}, "`$.total_price`"),
        ({"total_price": "1.005"}, "more decimals than EUR has"),
        ({"total_price": "NaN"}, "not an amount of money"),
        ({"currency": "euro"}, "not an ISO 4217 code"),
        ({"customer": "Anna"}, "`$.customer`"),
        ({"id": "7\x00"}, "`$.id`"),
    ],
)
def test_an_undocumented_shape_is_rejected_with_the_reason(
    changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(Unreadable) as refused:
        normalise(item(an_order(**changes)))

    assert complaint in refused.value.message


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b"{}", b'{"id":"\xff"}', b'{"id":' + b"[" * 100_000],
    ids=["empty", "null", "list", "cut", "nothing", "latin-1", "deep"],
)
def test_a_body_that_is_no_order_is_rejected(body: bytes) -> None:
    with pytest.raises(Unreadable):
        normalise(item(body))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(ANY_JSON)
def test_any_json_is_read_or_rejected(content: object) -> None:
    with pytest.raises(Unreadable):
        normalise(item(content))


@given(st.dictionaries(st.sampled_from(sorted(an_order())), ANY_JSON, max_size=4))
def test_an_order_with_any_field_values_is_read_or_rejected(changes: dict[str, Any]) -> None:
    try:
        events = normalise(item(an_order(**changes)))
    except Unreadable:
        return
    for event in events:
        assert event.payload["product"]
        assert event.payload["total"]["amountMinor"] >= 0


@given(st.binary())
def test_any_bytes_are_read_or_rejected(body: bytes) -> None:
    with pytest.raises(Unreadable):
        normalise(item(body))
