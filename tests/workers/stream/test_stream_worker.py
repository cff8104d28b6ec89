"""The stream worker's steps on the real stores: each event has its effect once."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.kernel import live, redis
from subgraphs.kernel.streams.envelope import Event
from subgraphs.kernel.streams.interface import Lag, Record
from tests.fixtures.active_shop import ActiveShop, open_shop, pause
from tests.workers.stream.ledgers import State, claim_ids, new_stream, raw_rows, state_of
from workers.stream.main import GROUP, work
from workers.stream.steps import STEPS, Steps

STAGES = (STEPS.record, *STEPS.publishing)
"""The stages after which a stream worker may crash."""

pytestmark = pytest.mark.usefixtures("stores")


def orders_of(shop: ActiveShop, count: int) -> list[Event]:
    now = datetime.now(UTC)
    return [shop.order(number, placed=now - timedelta(minutes=number)) for number in range(count)]


def expected(shop: ActiveShop, orders: list[Event], seen: dict[str, int], found: State) -> State:
    """The only correct state; its cursors are taken from the store."""
    counted = {"published": len(orders), **seen}
    ids = claim_ids(shop, orders)
    cursors = [cursor for cursor, _ in found.live]
    return State(
        events=len(orders),
        notification_events=counted,
        claims=list(zip(ids, cursors, strict=True)),
        numbers={"orders": len(orders), **counted},
        counters={"orders": len(orders), **counted},
        live=list(zip(cursors, ids, strict=True)),
        activity=len(orders) + sum(counted.values()),
    )


async def test_a_batch_has_its_effect_in_every_store_and_in_order() -> None:
    shop, stream = await open_shop(), await new_stream()
    orders = orders_of(shop, 3)
    await stream.append(*orders)
    await stream.drain()
    first, second, third = claim_ids(shop, orders)
    await stream.append(
        shop.claim_event("shown", first),
        shop.claim_event("shown", second),
        shop.claim_event("clicked", second),
        shop.claim_event("dismissed", third),
    )

    await stream.drain()

    found = await state_of(shop)
    assert found == expected(shop, orders, {"shown": 2, "clicked": 1, "dismissed": 1}, found)
    assert await stream.streams.lag(stream.topic, GROUP) == Lag(0, 0, None, 0)
    assert await stream.streams.drops(stream.topic) == {}


async def test_the_same_batch_twice_has_the_effect_of_once() -> None:
    shop, stream = await open_shop(), await new_stream()
    orders = orders_of(shop, 3)
    await stream.append(*orders)
    entries = await stream.consumer.read(limit=500, wait=0)
    await work(stream.consumer, entries)
    once = await state_of(shop)
    rows_once = await raw_rows(shop)

    await work(stream.consumer, entries)

    assert await state_of(shop) == once == expected(shop, orders, {}, once)
    assert rows_once == 6
    assert await raw_rows(shop) in (12, 6)  # written again, and maybe merged since


@pytest.mark.parametrize("done", range(len(STAGES) + 1))
async def test_a_crash_after_any_step_is_recovered(done: int) -> None:
    shop, stream = await open_shop(), await new_stream()
    orders = orders_of(shop, 3)
    await stream.append(*orders)
    batch = Batch.of(await stream.consumer.read(limit=500, wait=0))
    STEPS.read(batch)
    for step in STAGES[:done]:
        await step(batch)

    await (await stream.taken_over()).drain()

    found = await state_of(shop)
    assert found == expected(shop, orders, {}, found)


@pytest.mark.parametrize("done", range(1, len(STAGES)))
async def test_a_notification_paused_between_two_attempts_keeps_its_claims(
    done: int,
) -> None:
    shop, stream = await open_shop(), await new_stream()
    orders = orders_of(shop, 2)
    await stream.append(*orders)
    batch = Batch.of(await stream.consumer.read(limit=500, wait=0))
    STEPS.read(batch)
    for step in STAGES[:done]:
        await step(batch)
    await pause(shop)
    await stream.append(shop.order(77))

    await (await stream.taken_over()).drain()

    found = await state_of(shop)
    assert [id_ for _, id_ in found.live] == claim_ids(shop, orders)
    assert found.numbers == {"orders": 3, "published": 2}


async def test_an_order_repeated_after_weeks_is_not_published_again() -> None:
    shop, stream = await open_shop(), await new_stream()
    orders = orders_of(shop, 2)
    await stream.append(*orders)
    await stream.drain()
    once = await state_of(shop)
    channel = live.claims_of(shop.site_id)
    expired = [f"{channel}:{id_}" for id_ in claim_ids(shop, orders)]
    assert await redis.client().delete(*expired) == 2  # as they expire after a week

    await stream.append(*orders)
    await stream.drain()

    assert await state_of(shop) == once == expected(shop, orders, {}, once)


async def test_an_event_in_two_entries_counts_once() -> None:
    shop, stream = await open_shop(), await new_stream()
    (order,) = orders_of(shop, 1)
    shown = shop.claim_event("shown", shop.claim_id(order))
    later = msgspec.structs.replace(order, captured_at=datetime.now(UTC))
    await stream.append(order, order, later, shown, shown)

    await stream.drain()

    found = await state_of(shop)
    assert found == expected(shop, [order], {"shown": 1}, found)


async def test_events_of_unknown_claims_and_of_another_sites_claim_do_not_count() -> None:
    shop, other, stream = await open_shop(), await open_shop(), await new_stream()
    (order,) = orders_of(shop, 1)
    await stream.append(
        order,
        other.claim_event("clicked", shop.claim_id(order)),
        shop.claim_event("shown", uuid4()),
        msgspec.structs.replace(shop.claim_event("shown", uuid4()), payload={"claimId": ["no"]}),
    )

    await stream.drain()

    found = await state_of(shop)
    assert found == expected(shop, [order], {}, found)
    assert await state_of(other) == State(0, {}, [], {}, {}, [], 0)
    assert await stream.streams.drops(stream.topic) == {"unknown_claim": 3}
    assert await stream.streams.lag(stream.topic, GROUP) == Lag(0, 0, None, 0)


async def test_invalid_events_are_dropped_with_a_reason_and_others_continue() -> None:
    shop, stream = await open_shop(), await new_stream()
    (order,) = orders_of(shop, 1)
    ancient = shop.order(2, placed=datetime(2001, 1, 1, tzinfo=UTC))
    ahead = shop.order(3, placed=datetime.now(UTC) + timedelta(hours=2))
    nul = msgspec.structs.replace(shop.order(4), payload={"product": "Blue\x00Shoes"})
    await stream.streams.append(stream.topic, [Record("", "", b"not JSON"), Record("", "", b"")])
    await stream.append(
        nul, ancient, order, ahead, shop.claim_event("praised", shop.claim_id(order))
    )

    await stream.drain()

    found = await state_of(shop)
    assert found == expected(shop, [order], {}, found)
    assert await stream.streams.drops(stream.topic) == {
        "undecodable": 3,
        "implausible_time": 2,
        "unknown_type": 1,
    }
    assert await stream.streams.lag(stream.topic, GROUP) == Lag(0, 0, None, 3)


@pytest.mark.parametrize(
    ("at", "step"),
    [*((4, step) for step in range(len(STAGES) + 1)), (0, 0), (8, 0), (0, 3), (8, 3)],
)
async def test_an_event_that_fails_a_step_is_dead_lettered_and_others_continue(
    at: int, step: int
) -> None:
    shop, stream = await open_shop(), await new_stream()
    orders = orders_of(shop, 9)
    await stream.append(*orders)
    bad = orders[at]

    async def fail_in_transaction(_session: AsyncSession, batch: Batch) -> None:
        await fail(batch)

    async def fail(batch: Batch) -> None:
        if bad in batch.events:
            raise ValueError("this order fails")

    recording, publishing = STEPS.recording, STEPS.publishing
    if step == 0:
        recording = (*recording, fail_in_transaction)
    else:
        publishing = (*publishing[: step - 1], fail, *publishing[step - 1 :])
    entries = await stream.consumer.read(limit=500, wait=0)
    await work(stream.consumer, entries, Steps(STEPS.reading, recording, publishing))

    found = await state_of(shop)
    shown = [id_ for _, id_ in found.live if id_ != shop.claim_id(bad)]
    assert shown == claim_ids(shop, [order for order in orders if order != bad])
    assert await stream.streams.drops(stream.topic) == {"poison": 1}
    assert await stream.streams.lag(stream.topic, GROUP) == Lag(0, 0, None, 1)
