"""The live channel on a real Valkey; some tests break its connections or kill it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Connection

from subgraphs.kernel import live, redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.live import Entry, channel, wakeups
from subgraphs.kernel.retry import is_store_fault
from tests.fixtures.deadline import eventually
from tests.fixtures.processes import Process
from tests.fixtures.valkey import Valkey

SECONDS = 5


@pytest.fixture(autouse=True)
async def server(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Valkey]:
    """The Valkey that this process's live channel uses during the test."""
    await disconnect()
    monkeypatch.setenv("REDIS_URL", valkey.url)
    settings.cache_clear()
    yield valkey
    await disconnect()
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subscribers read only after a wake-up, so a lost wake-up makes the test fail."""
    monkeypatch.setattr(channel, "_POLL_SECONDS", 3600)


async def disconnect() -> None:
    await live.dispose()
    await redis.dispose()


def some_channel() -> str:
    return live.claims_of(uuid4())


async def numbered(name: str, first: int, last: int) -> list[str]:
    """Publishes messages with these numbers, one by one."""
    return [
        await live.publish(name, UUID(int=number), {"n": number})
        for number in range(first, last + 1)
    ]


async def take(
    name: str, count: int, after: str | None = "0-0", *, seconds: float = SECONDS
) -> list[Entry]:
    """Returns the next entries of a channel."""
    taken: list[Entry] = []
    async with asyncio.timeout(seconds), aclosing(live.subscribe(name, after)) as entries:
        async for entry in entries:
            taken.append(entry)
            if len(taken) == count:
                break
    return taken


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.data["n"] for entry in entries]


async def subscribed_to(name: str, count: int) -> None:
    """Returns once Redis has confirmed this many subscriptions to a channel's wake-ups."""
    async with asyncio.timeout(SECONDS):
        while True:
            (_, subscriptions), *_ = await redis.client().pubsub_numsub(f"wake:{name}")
            if subscriptions == count:
                return
            await asyncio.sleep(0.01)


def in_order(cursors: list[str]) -> bool:
    keys = [tuple(map(int, cursor.split("-"))) for cursor in cursors]
    return keys == sorted(set(keys))


async def test_publishing_an_id_again_returns_its_first_cursor() -> None:
    name, id_ = some_channel(), uuid4()

    first = await live.publish(name, id_, {"n": 1})
    between = await live.publish(name, uuid4(), {"n": 2})
    again = await live.publish(name, id_, {"n": 3})

    assert again == first != between
    assert numbers(await take(name, 2)) == [1, 2]
    assert await redis.client().xlen(name) == 2


async def test_concurrent_publications_of_an_id_make_one_entry() -> None:
    name, id_ = some_channel(), uuid4()

    cursors = await asyncio.gather(*(live.publish(name, id_, {"n": n}) for n in range(20)))

    assert len(set(cursors)) == 1
    assert await redis.client().xlen(name) == 1


async def test_a_batch_is_published_in_order_and_only_once() -> None:
    one, other = some_channel(), some_channel()
    batch = [(one if n % 3 else other, UUID(int=n + 1), {"n": n}) for n in range(300)]

    cursors = await live.publish_all(batch)

    assert await live.publish_all(batch) == cursors
    assert await live.publish_all([]) == []
    assert numbers(await take(one, 200)) == [n for n in range(300) if n % 3]
    assert numbers(await take(other, 100)) == [n for n in range(300) if not n % 3]


async def test_publishing_works_after_a_script_flush() -> None:
    name = some_channel()
    await live.publish(name, uuid4(), {"n": 1})

    await redis.client().script_flush()
    await live.publish(name, uuid4(), {"n": 2})

    assert numbers(await take(name, 2)) == [1, 2]


async def test_a_subscription_begins_after_its_cursor() -> None:
    name = some_channel()
    cursors = await numbered(name, 1, 5)

    entries = await take(name, 3, after=cursors[1])

    assert numbers(entries) == [3, 4, 5]
    assert [entry.cursor for entry in entries] == cursors[2:]
    assert in_order(cursors)
    assert entries[0].id == UUID(int=3)


async def test_a_subscription_without_a_cursor_begins_at_the_end(no_polling: None) -> None:
    name = some_channel()
    await numbered(name, 1, 3)

    async def reads_of_the_end() -> int:
        read: Any = await redis.client().info("commandstats")
        return int(read.get("cmdstat_xrevrange", {"calls": 0})["calls"])

    before = await reads_of_the_end()
    subscriber = asyncio.create_task(take(name, 2, after=None))
    await eventually(reads_of_the_end, lambda count: count == before + 1)

    await numbered(name, 4, 5)

    assert numbers(await subscriber) == [4, 5]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "0",
        "-1",
        "1-",
        "1-2-3",
        "a-b",
        "1-0 ",
        "9" * 20 + "-0",
        "\u0661\u0662-\u0663",
        "1-\u0663",
    ],
)
async def test_an_invalid_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadUserInput, match="must be a cursor"):
        await take(some_channel(), 1, after=cursor)


async def test_a_cursor_older_than_the_buffer_begins_at_the_oldest_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel, "BUFFERED", 100)
    name = some_channel()
    cursors = await live.publish_all([(name, uuid4(), {"n": n}) for n in range(1000)])
    kept: int = await redis.client().xlen(name)
    assert 100 <= kept < 500

    entries = await take(name, kept, after=cursors[0])

    assert numbers(entries) == list(range(1000 - kept, 1000))


async def test_a_publication_wakes_its_subscriber(no_polling: None) -> None:
    name = some_channel()
    subscriber = asyncio.create_task(take(name, 50))
    await subscribed_to(name, 1)

    await numbered(name, 1, 50)

    assert numbers(await subscriber) == list(range(1, 51))


async def test_resuming_subscribers_miss_nothing_during_publication(
    no_polling: None,
) -> None:
    name = some_channel()
    publishing = asyncio.create_task(numbered(name, 1, 500))
    seen: list[Entry] = []

    while len(seen) < 500:
        after = seen[-1].cursor if seen else "0-0"
        seen += await take(name, min(24, 500 - len(seen)), after)

    await publishing
    assert numbers(seen) == list(range(1, 501))
    assert in_order([entry.cursor for entry in seen])


async def test_broken_connections_lose_no_entry(no_polling: None) -> None:
    name = some_channel()
    subscriber = asyncio.create_task(take(name, 20))
    await subscribed_to(name, 1)

    for number in range(1, 21):
        if number % 5 == 0:
            await redis.client().client_kill_filter(_type="pubsub")
        await numbered(name, number, number)
        await asyncio.sleep(0.05)

    assert numbers(await subscriber) == list(range(1, 21))


async def test_entries_published_during_a_reconnect_are_found(
    no_polling: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = some_channel()
    subscriber = asyncio.create_task(take(name, 3))
    await subscribed_to(name, 1)
    monkeypatch.setattr(wakeups, "_RECONNECT_SECONDS", 0.5)

    await redis.client().client_kill_filter(_type="pubsub")
    await numbered(name, 1, 3)  # before the reconnect: these wake-ups are lost

    assert numbers(await subscriber) == [1, 2, 3]


async def test_a_restart_of_redis_loses_no_entry(server: Valkey) -> None:
    name = some_channel()
    subscriber = asyncio.create_task(take(name, 6))
    await subscribed_to(name, 1)
    before = await numbered(name, 1, 3)

    server.kill()
    await asyncio.sleep(0.5)
    server.start()

    # Redis still knows the earlier IDs: it syncs its file with every write.
    assert await numbered(name, 1, 6) == [*before, *(await numbered(name, 4, 6))]
    assert numbers(await subscriber) == [1, 2, 3, 4, 5, 6]


async def test_concurrent_new_subscribers_are_all_woken(no_polling: None) -> None:
    name = some_channel()
    subscriber = [asyncio.create_task(take(name, 5)) for _ in range(10)]
    await subscribed_to(name, 1)
    await asyncio.sleep(0.2)  # all of them have read, and wait

    await numbered(name, 1, 5)

    assert [numbers(entries) for entries in await asyncio.gather(*subscriber)] == [
        [1, 2, 3, 4, 5]
    ] * 10


async def test_a_leaving_subscriber_takes_no_wakeup_from_the_others(no_polling: None) -> None:
    name = some_channel()
    staying = asyncio.create_task(take(name, 4))
    await subscribed_to(name, 1)
    leaving = asyncio.create_task(take(name, 2))
    await asyncio.sleep(0.1)

    await numbered(name, 1, 2)
    await leaving
    await numbered(name, 3, 4)

    assert numbers(await staying) == [1, 2, 3, 4]


async def test_a_subscriber_that_joins_as_the_last_one_leaves_is_woken(no_polling: None) -> None:
    name = some_channel()
    for number in range(1, 40):
        leaving = asyncio.create_task(take(name, 1, after=None))
        await subscribed_to(name, 1)
        leaving.cancel()
        await asyncio.sleep(0)
        coming = asyncio.create_task(take(name, number))
        await asyncio.sleep(0.01)

        await numbered(name, number, number)

        assert numbers(await coming) == list(range(1, number + 1))
        await asyncio.gather(leaving, return_exceptions=True)


async def test_wakeups_do_not_queue_up(no_polling: None) -> None:
    name = some_channel()
    async with wakeups.subscribed(name) as wakeup:
        await live.publish_all([(name, uuid4(), {"n": n}) for n in range(5000)])
        async with asyncio.timeout(SECONDS):
            await wakeup.wait()
        await asyncio.sleep(0.2)  # the other wake-ups, if there were any, arrive
        assert wakeups._broadcast is not None
        queues: Any = wakeups._broadcast._subscribers[f"wake:{name}"]
        assert [queue.qsize() for queue in queues] == [0]


async def test_a_cancellation_that_redis_py_loses_ends_the_subscription(
    no_polling: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancels the task in the turn in which its command is sent, where `wait_for` loses it."""
    name = some_channel()
    subscriber = asyncio.create_task(take(name, 3))
    await subscribed_to(name, 1)
    send, lost = Connection._send_packed_command, 0

    async def cancel_once(self: Connection, command: Any) -> None:
        nonlocal lost
        await send(self, command)
        if b"XRANGE" in b"".join(command) and not lost:
            lost += subscriber.cancel()

    monkeypatch.setattr(Connection, "_send_packed_command", cancel_once)
    await numbered(name, 1, 1)
    await asyncio.wait({subscriber}, timeout=SECONDS - 1)

    assert (lost, subscriber.cancelled()) == (1, True)


async def outcome(name: str) -> list[int] | str:
    """Returns what a subscriber gets that begins while Redis is unavailable."""
    try:
        return numbers(await take(name, 1, seconds=1))
    except Exception as error:
        return "store fault" if is_store_fault(error) else repr(error)


async def test_a_subscriber_that_begins_while_redis_is_unavailable_gets_entries_or_an_error(
    server: Valkey,
) -> None:
    name = some_channel()
    await numbered(name, 1, 1)
    await take(name, 1)
    server.kill()
    subscriber = asyncio.create_task(outcome(some_channel()))
    await asyncio.sleep(0.5)

    assert await subscriber in ([1], "store fault")


async def test_wakeups_survive_broken_connections_while_subscribers_come_and_go(
    server: Valkey,
) -> None:
    churning = Process("tests.kernel.live.churning", env={"REDIS_URL": server.url})
    try:
        assert await eventually(lambda: churning.said("woken"), bool, seconds=30)
        assert await eventually(lambda: churning.said("unsubscribed"), bool, seconds=10)
    finally:
        churning.kill()
