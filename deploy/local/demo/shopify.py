"""Orders as Shopify sends them: the full body of an `orders/create` webhook, with its signature."""

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from subgraphs.kernel.ids import derived_id

_PEOPLE = [
    ("Anna", "Berg", "Oslo", "NO", "Norway"),
    ("Mateo", "García", "Sevilla", "ES", "Spain"),
    ("Chloé", "Martin", "Lyon", "FR", "France"),
    ("Yuki", "Tanaka", "Kyoto", "JP", "Japan"),
    ("Amara", "Okafor", "Lagos", "NG", "Nigeria"),
    ("Jonas", "Weber", "Bremen", "DE", "Germany"),
    ("Zoë", "de Vries", "Utrecht", "NL", "Netherlands"),
    ("Liam", "O'Brien", "Cork", "IE", "Ireland"),
]
_PRODUCTS = [
    ("Blue Shoes", "12900"),
    ("Sand Runner", "10900"),
    ("Moss Trail", "14900"),
    ("Clay Low", "9900"),
]


def demo_orders(
    count: int, *, until: datetime, first_number: int = 1001, seed: int = 7
) -> Iterator[dict[str, Any]]:
    """`count` orders, seven minutes apart, the last one placed at `until`."""
    rng = random.Random(seed)  # noqa: S311  (the demo looks the same each time; not a secret)
    for number in range(count):
        placed = until - timedelta(minutes=7 * (count - 1 - number))
        yield order(number=first_number + number, placed=placed, rng=rng)


def order_now() -> dict[str, Any]:
    """One order placed now, by a random customer, with a number that no other order has."""
    return order(
        number=time.time_ns() // 1_000_000,
        placed=datetime.now(UTC),
        rng=random.SystemRandom(),
    )


def order(*, number: int, placed: datetime, rng: random.Random) -> dict[str, Any]:
    """One order. Its ids follow from the number: the same number is the same order."""
    first, last, city, code, country = rng.choice(_PEOPLE)
    product, price_minor = rng.choice(_PRODUCTS)
    price = f"{int(price_minor) / 100:.2f}"
    address = {
        "first_name": first,
        "last_name": last,
        "name": f"{first} {last}",
        "address1": f"{rng.randint(1, 99)} Example Street",
        "address2": None,
        "city": city,
        "zip": "0150",
        "province": None,
        "country": country,
        "country_code": code,
        "phone": "+4722222222",
        "company": None,
        "latitude": None,
        "longitude": None,
        "province_code": None,
    }
    money = {
        "shop_money": {"amount": price, "currency_code": "EUR"},
        "presentment_money": {"amount": price, "currency_code": "EUR"},
    }
    return {
        "id": 5_600_000_000_000 + number,
        "admin_graphql_api_id": f"gid://shopify/Order/{5_600_000_000_000 + number}",
        "app_id": 580111,
        "browser_ip": "192.0.2.10",
        "buyer_accepts_marketing": False,
        "cancel_reason": None,
        "cancelled_at": None,
        "cart_token": None,
        "checkout_id": 25_000_000_000_000 + number,
        "closed_at": None,
        "confirmed": True,
        "contact_email": f"{first.lower()}@example.com",
        "created_at": placed.isoformat(timespec="seconds"),
        "currency": "EUR",
        "current_total_price": price,
        "current_total_price_set": money,
        "customer_locale": "en",
        "discount_codes": [],
        "email": f"{first.lower()}@example.com",
        "estimated_taxes": False,
        "financial_status": "paid",
        "fulfillment_status": None,
        "landing_site": "/",
        "name": f"#{number}",
        "note": None,
        "note_attributes": [],
        "number": number - 1000,
        "order_number": number,
        "order_status_url": "https://shop.example/orders/status",
        "payment_gateway_names": ["bogus"],
        "phone": None,
        "presentment_currency": "EUR",
        "processed_at": placed.isoformat(timespec="seconds"),
        "referring_site": "",
        "source_name": "web",
        "subtotal_price": price,
        "tags": "",
        "tax_lines": [],
        "taxes_included": True,
        "test": False,
        "token": uuid4().hex,
        "total_discounts": "0.00",
        "total_line_items_price": price,
        "total_price": price,
        "total_price_set": money,
        "total_tax": "0.00",
        "total_weight": 0,
        "updated_at": placed.isoformat(timespec="seconds"),
        "billing_address": address,
        "shipping_address": address,
        "customer": {
            "id": 7_100_000_000_000 + number,
            "email": f"{first.lower()}@example.com",
            "first_name": first,
            "last_name": last,
            "state": "disabled",
            "verified_email": True,
            "phone": None,
            "tags": "",
            "currency": "EUR",
            "default_address": address,
        },
        "fulfillments": [],
        "line_items": [
            {
                "id": 14_000_000_000_000 + number,
                "admin_graphql_api_id": f"gid://shopify/LineItem/{14_000_000_000_000 + number}",
                "fulfillable_quantity": 1,
                "fulfillment_service": "manual",
                "fulfillment_status": None,
                "gift_card": False,
                "grams": 500,
                "name": product,
                "price": price,
                "price_set": money,
                "product_exists": True,
                "product_id": 8_000_000_000_000,
                "properties": [],
                "quantity": 1,
                "requires_shipping": True,
                "sku": "SKU-1",
                "taxable": True,
                "title": product,
                "total_discount": "0.00",
                "variant_id": 44_000_000_000_000,
                "variant_title": None,
                "vendor": "Demo Shop",
                "tax_lines": [],
                "discount_allocations": [],
            }
        ],
        "payment_terms": None,
        "refunds": [],
        "shipping_lines": [],
    }


def source_event_id(payload: Mapping[str, Any], site_id: str) -> str:
    """The id of the source event that an order becomes; every claim about it names this id."""
    placed = datetime.fromisoformat(payload["created_at"]).astimezone(UTC)
    parts = (UUID(site_id), "shopify", "order.created", str(payload["id"]))
    return str(derived_id(placed, *parts))


def signed_headers(
    body: bytes, secret: str, *, delivery_id: str, topic: str = "orders/create"
) -> dict[str, str]:
    """The headers that Shopify sends with a body, its signature among them."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
        "X-Shopify-Shop-Domain": "demo.myshopify.com",
        "X-Shopify-API-Version": "2026-10",
        "X-Shopify-Webhook-Id": delivery_id,
        "X-Shopify-Event-Id": str(uuid4()),
        "X-Shopify-Triggered-At": datetime.now().astimezone().isoformat(),
    }


async def deliver(
    client: httpx.AsyncClient,
    url: str,
    secret: str,
    payload: dict[str, Any],
    *,
    delivery_id: str | None = None,
) -> httpx.Response:
    """Send one order as Shopify does: POST the signed body to the integration's address."""
    body = json.dumps(payload, ensure_ascii=False).encode()
    headers = signed_headers(body, secret, delivery_id=delivery_id or str(uuid4()))
    return await client.post(url, content=body, headers=headers)
