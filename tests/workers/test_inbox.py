"""The inbox tasks on the real stores: a webhook becomes events once."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from deploy.local.demo.shopify import order
from subgraphs.integrations import service
from subgraphs.integrations.service import Sender, Webhook
from subgraphs.kernel import db, redis
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, Event, decode
from tests.fixtures.shop import Shop, new_shop
from tests.fixtures.topics import bodies_on
from tests.workers.stream.ledgers import rows
from workers import inbox
from workers.inbox import process, sweep

pytestmark = pytest.mark.usefixtures("stores")


class Connected(NamedTuple):
    """A shop with Shopify connected."""

    shop: Shop
    integration_id: UUID


async def connect() -> Connected:
    shop = await new_shop()
    async with db.transaction(shop.owner) as session:
        integration, _ = await service.connect_shopify(
            session, account_id=shop.account_id, site_id=shop.site_id
        )
    return Connected(shop, integration.id)


async def receive(connected: Connected, body: bytes, topic: str = "orders/create") -> UUID:
    """Put a webhook into the inbox; returns the row's id."""
    shop, integration_id = connected
    sender = Sender(integration_id, shop.site_id, shop.account_id, b"")
    webhook = Webhook(str(uuid4()), None, topic, body)
    async with db.service_transaction() as session:
        await service.receive(session, sender=sender, webhook=webhook)
    ((inbox_id,),) = await rows(
        "SELECT id FROM inbox WHERE delivery_id = :delivery", delivery=webhook.delivery_id
    )
    return UUID(str(inbox_id))


async def row(inbox_id: UUID) -> tuple[str, str | None, bool]:
    """Status, error, and whether `processed_at` is set."""
    ((status, error, processed_at),) = await rows(
        "SELECT status, error, processed_at FROM inbox WHERE id = :id", id=inbox_id
    )
    return status, error, processed_at is not None


async def streamed(connected: Connected) -> list[Event]:
    """The site's events on the stream."""
    site_id = str(connected.shop.site_id).encode()
    bodies = await bodies_on(redis.client(), EVENTS_TOPIC)
    return [decode(body) for body in bodies if site_id in body]


def body_of(number: int) -> bytes:
    dice = Random(1)  # noqa: S311  (a reproducible test)
    return json.dumps(order(number=number, placed=datetime.now(UTC), rng=dice)).encode()


async def test_an_order_becomes_one_event_however_often_it_is_processed() -> None:
    connected = await connect()
    inbox_id = await receive(connected, body_of(1))

    await asyncio.gather(process(inbox_id), process(inbox_id))
    await process(inbox_id)

    assert await row(inbox_id) == ("PROCESSED", None, True)
    (event,) = await streamed(connected)
    assert (event.type, event.site_id, event.account_id) == (
        "order.created",
        connected.shop.site_id,
        connected.shop.account_id,
    )


async def test_an_order_sent_twice_has_one_event_id() -> None:
    connected, body = await connect(), body_of(2)

    for inbox_id in await receive(connected, body), await receive(connected, body):
        await process(inbox_id)

    first, second = await streamed(connected)
    assert first.id == second.id


async def test_an_unused_topic_is_ignored() -> None:
    connected = await connect()
    inbox_id = await receive(connected, b"{}", topic="carts/update")

    await process(inbox_id)

    assert await row(inbox_id) == ("IGNORED", None, True)
    assert await streamed(connected) == []


async def test_an_unreadable_webhook_is_rejected_with_a_reason() -> None:
    connected = await connect()
    inbox_id = await receive(connected, b'{"id": 1}')

    await process(inbox_id)

    status, error, processed = await row(inbox_id)
    assert (status, processed) == ("REJECTED", True)
    assert error is not None
    assert "cannot be read" in error
    assert await streamed(connected) == []


async def test_the_sweep_processes_overdue_rows_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "OVERDUE", timedelta(minutes=5))
    connected = await connect()
    overdue, recent = await receive(connected, body_of(3)), await receive(connected, body_of(4))
    async with db.service_transaction() as session:
        await session.execute(
            text("UPDATE inbox SET received_at = now() - interval '6 minutes' WHERE id = :id"),
            {"id": overdue},
        )

    await sweep()

    assert await row(overdue) == ("PROCESSED", None, True)
    assert await row(recent) == ("RECEIVED", None, False)
    assert len(await streamed(connected)) == 1


async def test_a_deleted_row_is_no_error() -> None:
    await process(uuid4())
