"""The inbox task on the real stores: webhooks become events once, in batches."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from deploy.local.demo.shopify import order
from subgraphs.integrations import service
from subgraphs.integrations.inbox import store
from subgraphs.integrations.inbox.store import NewWebhook
from subgraphs.kernel import db, jobs, redis, task_names, worker_pool
from subgraphs.kernel.config import settings
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.redis import connect as connect_to
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, Event, decode
from subgraphs.kernel.streams.interface import PARTITIONS, Lag, partition_of
from tests.fixtures.deadline import eventually
from tests.fixtures.shop import Shop, new_shop
from tests.fixtures.topics import bodies_on
from tests.workers.stream.ledgers import rows
from workers import inbox
from workers.inbox import process_waiting

pytestmark = pytest.mark.usefixtures("stores")


class Connected(NamedTuple):
    """A shop with Shopify connected."""

    shop: Shop
    integration_id: UUID


@pytest.fixture(autouse=True)
async def empty_inbox(stores: object) -> AsyncIterator[None]:
    """Let no webhook of another test wait, before and after."""
    await _ignore_waiting()
    yield
    await _ignore_waiting()
    inbox._stream = inbox._Stream()


async def _ignore_waiting() -> None:
    async with db.service_transaction() as session:
        await session.execute(text("UPDATE inbox SET status = 'IGNORED' WHERE status = 'RECEIVED'"))


async def connect() -> Connected:
    shop = await new_shop()
    async with db.transaction(shop.owner) as session:
        integration, _ = await service.connect_shopify(
            session, account_id=shop.account_id, site_id=shop.site_id
        )
    return Connected(shop, integration.id)


def new_webhook(
    connected: Connected,
    body: bytes,
    topic: str = "orders/create",
    *,
    delivery_id: str = "",
    is_backfill: bool = False,
) -> NewWebhook:
    shop, integration_id = connected
    return NewWebhook(
        id=new_id(),
        account_id=shop.account_id,
        site_id=shop.site_id,
        integration_id=integration_id,
        delivery_id=delivery_id or str(uuid4()),
        event_id=None,
        topic=topic,
        body=body,
        is_backfill=is_backfill,
    )


async def receive(connected: Connected, body: bytes, topic: str = "orders/create") -> UUID:
    """Put a webhook into the inbox; returns the row's id."""
    webhook = new_webhook(connected, body, topic)
    await store.insert([webhook])
    return webhook.id


async def row(inbox_id: UUID) -> tuple[str, str | None, bool]:
    """Status, error, and whether `processed_at` is set."""
    ((status, error, processed_at),) = await rows(
        "SELECT status, error, processed_at FROM inbox WHERE id = :id", id=inbox_id
    )
    return status, error, processed_at is not None


async def streamed(*shops: Connected) -> list[Event]:
    """The shops' events on the stream, in the order in which they were appended."""
    site_ids = [str(connected.shop.site_id).encode() for connected in shops]
    bodies = await bodies_on(redis.client(), EVENTS_TOPIC)
    return [decode(body) for body in bodies if any(site_id in body for site_id in site_ids)]


async def order_ids(*shops: Connected) -> list[int]:
    """The numbers of the orders on the stream."""
    return [int(event.payload["orderId"]) - 5_600_000_000_000 for event in await streamed(*shops)]


def body_of(number: int) -> bytes:
    dice = Random(1)  # noqa: S311  (a reproducible test)
    return json.dumps(order(number=number, placed=datetime.now(UTC), rng=dice)).encode()


async def test_an_order_becomes_one_event_however_often_the_task_runs() -> None:
    connected = await connect()
    inbox_id = await receive(connected, body_of(1))

    await asyncio.gather(process_waiting(), process_waiting())
    await process_waiting()

    assert await row(inbox_id) == ("PROCESSED", None, True)
    (event,) = await streamed(connected)
    assert (event.type, event.site_id, event.account_id) == (
        "order.created",
        connected.shop.site_id,
        connected.shop.account_id,
    )


async def test_an_order_sent_twice_has_one_event_id() -> None:
    connected, body = await connect(), body_of(2)
    for _ in range(2):
        await receive(connected, body)

    await process_waiting()

    first, second = await streamed(connected)
    assert first.id == second.id


async def test_an_unused_topic_is_ignored() -> None:
    connected = await connect()
    inbox_id = await receive(connected, b"{}", topic="carts/update")

    await process_waiting()

    assert await row(inbox_id) == ("IGNORED", None, True)
    assert await streamed(connected) == []


async def test_unreadable_webhooks_are_rejected_with_a_reason_and_hold_nothing_up() -> None:
    connected = await connect()
    bodies = [body_of(1), b'{"id": 1}', body_of(2), b"\xff", body_of(3)]
    ids = [await receive(connected, body) for body in bodies]

    await process_waiting()

    found = [await row(inbox_id) for inbox_id in ids]
    assert [status for status, _, _ in found] == [
        "PROCESSED", "REJECTED", "PROCESSED", "REJECTED", "PROCESSED",
    ]  # fmt: skip
    assert all(is_set for _, _, is_set in found)
    assert "cannot be read" in str(found[1][1])
    assert await order_ids(connected) == [1, 2, 3]


async def test_a_fault_of_ours_sets_one_webhook_apart(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # pytest-xdist cannot send a captured log with a lone surrogate.
    caplog.set_level(logging.CRITICAL, logger="workers.inbox")

    def events_of(webhook: object) -> list[Event]:
        if getattr(webhook, "id", None) == poison:
            raise RuntimeError("a\x00b\udc80")
        return []

    connected = await connect()
    poison, other = await receive(connected, b"{}"), await receive(connected, b"{}")
    monkeypatch.setattr(service, "normalise", events_of)

    await process_waiting()

    assert await row(poison) == ("REJECTED", "ab?", True)
    assert await row(other) == ("IGNORED", None, True)


async def test_the_orders_of_each_site_keep_their_order_and_sites_take_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "BATCH_SIZE", 4)
    flooding, quiet = await connect(), await connect()
    for number in range(1, 11):
        await receive(flooding, body_of(number))
    await receive(quiet, body_of(21))
    await receive(quiet, body_of(22))

    await process_waiting(seconds=0.0)
    assert await order_ids(flooding, quiet) == []
    await asyncio.gather(process_waiting(), process_waiting(), process_waiting())

    assert await order_ids(flooding) == list(range(1, 11))
    assert await order_ids(quiet) == [21, 22]
    processed = await rows(
        "SELECT site_id FROM inbox WHERE site_id IN (:one, :other) ORDER BY processed_at LIMIT 4",
        one=flooding.shop.site_id,
        other=quiet.shop.site_id,
    )
    assert sum(site_id == quiet.shop.site_id for (site_id,) in processed) == 2


async def test_a_batch_ends_at_its_size_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_BATCH_BYTES", 1)
    connected = await connect()
    ids = [await receive(connected, body_of(number)) for number in range(3)]

    async with worker_pool.acquire() as connection:
        chosen = await store.select_waiting(connection, is_backfill=False, most=500)

    assert [webhook.id for webhook in chosen] == ids[:1]


async def test_live_webhooks_come_before_backfill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "BACKFILL_SIZE", 2)
    monkeypatch.setattr(inbox, "BACKFILL_LAG", 1_000_000)
    connected, other = await connect(), await connect()
    old = [new_webhook(connected, body_of(number), is_backfill=True) for number in (1, 2, 3)]
    await store.insert(old)
    await receive(connected, body_of(11))
    await receive(other, body_of(12))

    await process_waiting()

    found = await order_ids(connected, other)
    assert sorted(found[:2]) == [11, 12]
    assert found[2:] == [1, 2, 3]


async def test_backfill_waits_while_the_stream_worker_is_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "BACKFILL_LAG", 0)
    connected = await connect()
    await receive(connected, body_of(1))
    (backfill,) = [new_webhook(connected, body_of(2), is_backfill=True)]
    await store.insert([backfill])

    await process_waiting()

    assert await row(backfill.id) == ("RECEIVED", None, False)
    assert await order_ids(connected) == [1]


async def test_webhooks_of_a_full_partition_stay_in_the_inbox() -> None:
    connected = await connect()
    partition = partition_of(str(connected.shop.site_id))
    inbox_id = await receive(connected, body_of(1))
    lags = [Lag(0, 0, None, 0)] * PARTITIONS
    lags[partition] = Lag(inbox.FULL_PARTITION, 0, None, 0)
    inbox._stream._lags = lags
    inbox._stream._read_at = asyncio.get_running_loop().time()

    await process_waiting()
    assert await row(inbox_id) == ("RECEIVED", None, False)

    inbox._stream._read_at = 0.0
    await process_waiting()
    assert await row(inbox_id) == ("PROCESSED", None, True)


async def test_a_run_beside_another_leaves_the_webhooks_to_it() -> None:
    connected = await connect()
    inbox_id = await receive(connected, body_of(1))
    async with worker_pool.acquire() as connection, connection.transaction():
        assert await store.lock(connection)

        assert not await process_waiting()

        assert await row(inbox_id) == ("RECEIVED", None, False)


async def test_a_webhook_committed_during_the_last_batch_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own wake-up ends at the lock, so the run that holds it must look again."""
    connected = await connect()
    late: list[UUID] = []
    select = store.select_waiting

    async def select_and_then_receive(*args: object, **options: object) -> object:
        found = await select(*args, **options)  # type: ignore[arg-type]
        if not found and not late and not options["is_backfill"]:
            late.append(await receive(connected, body_of(1)))
        return found

    monkeypatch.setattr(store, "select_waiting", select_and_then_receive)

    await process_waiting()

    assert await row(late[0]) == ("PROCESSED", None, True)


async def test_a_run_takes_webhooks_that_come_while_it_lingers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "LINGER_SECONDS", 5.0)
    connected = await connect()
    run = asyncio.create_task(process_waiting(seconds=3.0))

    async def listens() -> bool:
        return await jobs.is_listened_to(task_names.PROCESS_INBOX)

    await eventually(listens, bool)
    inbox_id = await receive(connected, body_of(1))
    await jobs.Waker(task_names.PROCESS_INBOX, queue="unread").wake()

    await eventually(lambda: row(inbox_id), lambda found: found[0] == "PROCESSED", seconds=2)
    second_run_ends_at_once = process_waiting()
    async with asyncio.timeout(2):
        await second_run_ends_at_once
    async with connect_to(settings().broker_url) as broker:
        assert await broker.llen("unread") == 0
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
