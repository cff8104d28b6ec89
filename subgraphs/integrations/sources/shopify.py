"""Shopify's webhooks: `orders/create` becomes `order.created`; other topics become nothing.

A theme may give the cart the attribute `proofgraph_visitor`. The order is then attributed to the
claim that this visitor saw.

Of a buyer only the first name and the place go on the event stream. Surnames, addresses, e-mail and
telephone numbers stay in the inbox, also if a buyer typed them into the wrong field.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from subgraphs.integrations.models import ReceivedWebhook
from subgraphs.integrations.sources import Unreadable
from subgraphs.integrations.sources.money import minor_units
from subgraphs.kernel.ids import derived_id
from subgraphs.kernel.streams.envelope import Event
from subgraphs.kernel.text import one_line

ORDER_CREATED = "orders/create"

NO_SALE = frozenset({"voided", "expired", "refunded"})
"""Financial states without a sale: a claim about such an order would be untrue. The same holds for
cancelled orders and the shop's test orders."""

MAX_AGE = timedelta(days=5 * 365)
MAX_AHEAD = timedelta(hours=1)
"""An order whose date is outside this span around its receipt has a wrong date."""

_MAX_NAME = 40
_MAX_PLACE = 60
_MAX_PRODUCT = 120
"""Characters; longer values would not fit into a claim together."""

_PERSONAL = re.compile(r"[@\d]")
"""Signs of an e-mail address, a telephone number, a street address or a postal code."""

_COUNTRY_CODE = re.compile(r"[A-Z]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")

VISITOR = "proofgraph_visitor"
"""The note attribute that carries the buyer's visitor id."""

_VISITOR_ID = re.compile(r"[^\x00]{1,100}")


class _Customer(msgspec.Struct):
    first_name: str | None = None


class _Address(msgspec.Struct):
    first_name: str | None = None
    city: str | None = None
    country: str | None = None
    country_code: str | None = None


class _LineItem(msgspec.Struct):
    title: str | None = None
    quantity: int = 1


class _Note(msgspec.Struct):
    """A note attribute; a theme may put any JSON value there."""

    name: Any = None
    value: Any = None


class _Order(msgspec.Struct):
    """The fields that we read; Shopify documents some ninety."""

    # PostgreSQL cannot store a NUL, so an id with one is rejected here.
    id: int | Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*\Z")]
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    total_price: Decimal
    currency: str
    name: str | None = None
    test: bool | None = None
    cancelled_at: str | None = None
    financial_status: str | None = None
    customer: _Customer | None = None
    billing_address: _Address | None = None
    shipping_address: _Address | None = None
    line_items: list[_LineItem] = []
    note_attributes: list[_Note] | None = None


_decoder = msgspec.json.Decoder(_Order)


def events_of(webhook: ReceivedWebhook) -> list[Event]:
    """The source events of a webhook; none for another topic or an order without a sale.

    Raises:
        Unreadable: the body does not have the shape Shopify documents for its topic.
    """
    if webhook.topic != ORDER_CREATED:
        return []
    try:
        order = _decoder.decode(webhook.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"The order cannot be read: {error}.") from error
    if order.test or order.cancelled_at or order.financial_status in NO_SALE:
        return []
    return [_order_created(order, webhook)]


def _order_created(order: _Order, webhook: ReceivedWebhook) -> Event:
    if not -MAX_AHEAD < webhook.received_at - order.created_at < MAX_AGE:
        raise Unreadable("The order's `created_at` is more than an hour ahead or five years old.")
    occurred_at = order.created_at.astimezone(UTC)
    order_id = str(order.id)
    return Event(
        id=derived_id(occurred_at, webhook.site_id, "shopify", "order.created", order_id),
        site_id=webhook.site_id,
        account_id=webhook.account_id,
        type="order.created",
        occurred_at=occurred_at,
        captured_at=webhook.received_at,
        source="shopify",
        visitor_id=_visitor(order),
        payload={
            "orderId": order_id,
            "orderName": one_line(order.name or order_id, max_length=_MAX_NAME),
            **_buyer(order),
            **_bought(order),
        },
    )


def _visitor(order: _Order) -> str | None:
    values = [note.value for note in order.note_attributes or [] if note.name == VISITOR]
    value = values[-1] if values else None
    return value if isinstance(value, str) and _VISITOR_ID.fullmatch(value) else None


def _buyer(order: _Order) -> dict[str, str | None]:
    billing, shipping = order.billing_address, order.shipping_address
    name = (order.customer and order.customer.first_name) or (billing and billing.first_name)
    # A parcel to another person is a gift: its address is not the buyer's place.
    is_own = shipping is not None and name in (None, "", shipping.first_name)
    home = billing or (shipping if is_own else None) or _Address()
    code = home.country_code or ""
    return {
        "firstName": _first_name(name or home.first_name),
        "city": _public(home.city, _MAX_PLACE),
        "country": code if _COUNTRY_CODE.fullmatch(code) else None,
        "countryName": _public(home.country, _MAX_PLACE),
    }


def _bought(order: _Order) -> dict[str, Any]:
    if not order.line_items:
        raise Unreadable("The order has no line items.")
    item = order.line_items[0]
    product = one_line(item.title or "", max_length=_MAX_PRODUCT)
    if not product or item.quantity < 1:
        raise Unreadable("The order's first line item has no title or no quantity.")
    if not _CURRENCY.fullmatch(order.currency):
        raise Unreadable("The order's `currency` is not an ISO 4217 code.")
    total = minor_units(order.total_price, order.currency)
    return {
        "product": product,
        "quantity": item.quantity,
        "total": {"amountMinor": total, "currency": order.currency},
    }


def _first_name(text: str | None) -> str | None:
    """The first word: some buyers type their full name into the field."""
    name = _public(text, _MAX_NAME)
    return name.split()[0] if name else None


def _public(text: str | None, max_length: int) -> str | None:
    """A field that buyers fill in, if visitors may see it; otherwise None."""
    line = one_line(text or "", max_length=max_length)
    return None if _PERSONAL.search(line) else line or None
