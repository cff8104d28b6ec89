"""The nightly deletion tasks on the real stores."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from subgraphs.integrations.inbox import store
from subgraphs.kernel import db, live, redis
from subgraphs.kernel.identity.tenants import set_limits
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.streams.redis.names import dead_letters_of
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.workers.stream.ledgers import channel, new_stream, rows, state_of
from tests.workers.test_inbox import body_of, connect, new_webhook, receive
from workers import deletion
from workers.deletion import delete_claims, delete_published, delete_webhook_bodies
from workers.inbox import process_waiting

pytestmark = pytest.mark.usefixtures("stores")

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "BATCH_SIZE", 2)
    monkeypatch.setattr(deletion, "SITES_PER_TRIM", 1)


async def set_received(inbox_id: UUID, days_ago: int) -> None:
    async with db.service_transaction() as session:
        await session.execute(
            text("UPDATE inbox SET received_at = :at WHERE id = :id"),
            {"at": NOW - timedelta(days=days_ago), "id": inbox_id},
        )


async def test_old_webhook_bodies_are_emptied_and_their_ids_still_deduplicate() -> None:
    connected = await connect()
    old = [await receive(connected, body_of(number)) for number in range(5)]
    young = await receive(connected, b"{}")
    await process_waiting()
    unread = await receive(connected, b"{}")
    for inbox_id in (*old, unread):
        await set_received(inbox_id, 31)
    await set_received(young, 29)

    assert await delete_webhook_bodies(NOW) == 5
    assert await delete_webhook_bodies(NOW) == 0

    found = await rows(
        "SELECT id, body, status FROM inbox WHERE integration_id = :id", id=connected.integration_id
    )
    assert {id_: (bytes(body), status) for id_, body, status in found} == {
        **dict.fromkeys(old, (b"", "PROCESSED")),
        unread: (b"{}", "RECEIVED"),
        young: (b"{}", "REJECTED"),
    }
    ((delivery_id,),) = await rows("SELECT delivery_id FROM inbox WHERE id = :id", id=old[0])
    again = new_webhook(connected, body_of(0), delivery_id=delivery_id)
    assert await store.insert([again]) == set()


async def keep_for(shop: ActiveShop, days: int) -> None:
    async with db.transaction(shop.owner) as session:
        await set_limits(session, site_id=shop.site_id, events_per_second=50, retention_days=days)


async def test_claims_past_retention_are_deleted_and_no_number_changes() -> None:
    shop, longer, stream = await open_shop(), await open_shop(), await new_stream()
    await keep_for(longer, 365)
    for one in (shop, longer):
        orders = [one.order(number, placed=NOW - timedelta(days=20)) for number in range(5)]
        await stream.append(*orders)
        await stream.append(one.claim_event("shown", one.claim_id(orders[0])))
    await stream.drain()
    before, others = await state_of(shop), await state_of(longer)
    assert (len(before.claims), before.numbers["shown"]) == (5, 1)

    await delete_claims(NOW + timedelta(days=89))
    assert await state_of(shop) == before
    await delete_claims(NOW + timedelta(days=91))

    assert await state_of(shop) == before._replace(claims=[])
    assert await state_of(longer) == others


async def test_old_messages_and_dead_letters_are_deleted_from_redis() -> None:
    silent, busy = await open_shop(), await open_shop()
    old = f"{round((NOW - timedelta(days=91)).timestamp() * 1000)}-0"
    for shop in (silent, busy):
        for name in (live.claims_of(shop.site_id), live.activity_of(shop.site_id)):
            await redis.client().xadd(name, {"id": str(uuid4()), "data": "{}"}, id=old)
    letter: dict[Any, Any] = {"e": "", "id": "1-0", "reason": "poison", "detail": ""}
    await redis.client().xadd(dead_letters_of("events", 7), letter, id=old)
    id_ = new_id()
    cursor = await live.publish(live.claims_of(busy.site_id), id_, {})

    await delete_published(NOW)

    assert await channel(live.claims_of(busy.site_id)) == [(cursor, str(id_))]
    for name in (
        live.activity_of(busy.site_id),
        live.claims_of(silent.site_id),
        live.activity_of(silent.site_id),
        dead_letters_of("events", 7),
    ):
        assert await redis.client().xlen(name) == 0
