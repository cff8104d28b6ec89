"""The live channel on a real Valkey, which some of these cut off or kill."""

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
from subgraphs.kernel.live import Entry, channel, wakes
from subgraphs.kernel.retry import is_store_fault
from tests.fixtures.deadline import eventually
from tests.fixtures.processes import Process
from tests.fixtures.valkey import Valkey

SECONDS = 5


@pytest.fixture(autouse=True)
async def server(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Valkey]:
    """The Valkey that this process's live channel is on meanwhile."""
    await trim()
    monkeypatch.setenv("REDIS_URL", valkey.url)
    settings.cache_clear()
    yield valkey
    await trim()
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers look only when woken: a wake that is lost is not made good by patience."""
    monkeypatch.setattr(channel, "_LOOK_AGAIN_SECONDS", 3600)


async def trim() -> None:
    await live.dispose()
    await redis.dispose()


def some_channel() -> str:
    return live.claims_of(uuid4())


async def numbered(name: str, first: int, last: int) -> list[str]:
    """Publish messages that say their number, each by itself."""
    return [
        await live.publish(name, UUID(int=number), {"n": number})
        for number in range(first, last + 1)
    ]


async def take(name: str, count: int, after: str | None = "0-0") -> list[Entry]:
    """The next entries of a channel."""
    taken: list[Entry] = []
    async with asyncio.timeout(SECONDS), aclosing(live.subscribe(name, after)) as entries:
        async for entry in entries:
            taken.append(entry)
            if len(taken) == count:
                break
    return taken


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.data["n"] for entry in entries]


async def followers_of(name: str, count: int) -> None:
    """Return once so many subscriptions to a channel's wakes are confirmed by the server."""
    async with asyncio.timeout(SECONDS):
        while True:
            (_, there), *_ = await redis.client().pubsub_numsub(f"wake:{name}")
            if there == count:
                return
            await asyncio.sleep(0.01)


def in_order(cursors: list[str]) -> bool:
    keys = [tuple(map(int, cursor.split("-"))) for cursor in cursors]
    return keys == sorted(set(keys))


async def test_publishing_an_id_again_changes_nothing_and_answers_its_cursor() -> None:
    name, id_ = some_channel(), uuid4()

    first = await live.publish(name, id_, {"n": 1})
    between = await live.publish(name, uuid4(), {"n": 2})
    again = await live.publish(name, id_, {"n": 3})

    assert again == first != between
    assert numbers(await take(name, 2)) == [1, 2]
    assert await redis.client().xlen(name) == 2


async def test_the_same_id_at_once_from_many_is_one_entry() -> None:
    name, id_ = some_channel(), uuid4()

    cursors = await asyncio.gather(*(live.publish(name, id_, {"n": n}) for n in range(20)))

    assert len(set(cursors)) == 1
    assert await redis.client().xlen(name) == 1


async def test_a_batch_is_published_in_order_and_a_second_time_to_no_effect() -> None:
    one, other = some_channel(), some_channel()
    batch = [(one if n % 3 else other, UUID(int=n + 1), {"n": n}) for n in range(300)]

    cursors = await live.publish_all(batch)

    assert await live.publish_all(batch) == cursors
    assert await live.publish_all([]) == []
    assert numbers(await take(one, 200)) == [n for n in range(300) if n % 3]
    assert numbers(await take(other, 100)) == [n for n in range(300) if not n % 3]


async def test_publishing_goes_on_after_the_server_forgot_its_scripts() -> None:
    name = some_channel()
    await live.publish(name, uuid4(), {"n": 1})

    await redis.client().script_flush()
    await live.publish(name, uuid4(), {"n": 2})

    assert numbers(await take(name, 2)) == [1, 2]


async def test_following_begins_behind_the_cursor() -> None:
    name = some_channel()
    cursors = await numbered(name, 1, 5)

    entries = await take(name, 3, after=cursors[1])

    assert numbers(entries) == [3, 4, 5]
    assert [entry.cursor for entry in entries] == cursors[2:]
    assert in_order(cursors)
    assert entries[0].id == UUID(int=3)


async def test_without_a_cursor_following_begins_now(no_looks: None) -> None:
    name = some_channel()
    await numbered(name, 1, 3)

    async def ends_read() -> int:
        read: Any = await redis.client().info("commandstats")
        return int(read.get("cmdstat_xrevrange", {"calls": 0})["calls"])

    before = await ends_read()
    following = asyncio.create_task(take(name, 2, after=None))
    await eventually(ends_read, lambda count: count == before + 1)

    await numbered(name, 4, 5)

    assert numbers(await following) == [4, 5]


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
async def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadUserInput, match="must be a cursor"):
        await take(some_channel(), 1, after=cursor)


async def test_a_cursor_older_than_the_buffer_goes_on_at_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel, "BUFFERED", 100)
    name = some_channel()
    cursors = await live.publish_all([(name, uuid4(), {"n": n}) for n in range(1000)])
    kept: int = await redis.client().xlen(name)
    assert 100 <= kept < 500

    entries = await take(name, kept, after=cursors[0])

    assert numbers(entries) == list(range(1000 - kept, 1000))


async def test_a_publication_wakes_at_once(no_looks: None) -> None:
    name = some_channel()
    following = asyncio.create_task(take(name, 50))
    await followers_of(name, 1)

    await numbered(name, 1, 50)

    assert numbers(await following) == list(range(1, 51))


async def test_followers_that_come_and_go_while_it_is_published_miss_nothing(
    no_looks: None,
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


async def test_a_killed_subscription_costs_no_entry_and_little_time(no_looks: None) -> None:
    name = some_channel()
    following = asyncio.create_task(take(name, 20))
    await followers_of(name, 1)

    for number in range(1, 21):
        if number % 5 == 0:
            await redis.client().client_kill_filter(_type="pubsub")
        await numbered(name, number, number)
        await asyncio.sleep(0.05)

    assert numbers(await following) == list(range(1, 21))


async def test_what_was_published_while_the_subscription_was_gone_is_found(
    no_looks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = some_channel()
    following = asyncio.create_task(take(name, 3))
    await followers_of(name, 1)
    monkeypatch.setattr(wakes, "_PAUSE_SECONDS", 0.5)

    await redis.client().client_kill_filter(_type="pubsub")
    await numbered(name, 1, 3)  # within the pause: their wakes reach nobody

    assert numbers(await following) == [1, 2, 3]


async def test_a_restart_of_the_server_costs_no_entry(server: Valkey) -> None:
    name = some_channel()
    following = asyncio.create_task(take(name, 6))
    await followers_of(name, 1)
    before = await numbered(name, 1, 3)

    server.kill()
    await asyncio.sleep(0.5)
    server.start()

    # The ids from before are known still: the file is synced with every write.
    assert await numbered(name, 1, 6) == [*before, *(await numbered(name, 4, 6))]
    assert numbers(await following) == [1, 2, 3, 4, 5, 6]


async def test_all_who_begin_to_follow_at_once_are_woken(no_looks: None) -> None:
    name = some_channel()
    following = [asyncio.create_task(take(name, 5)) for _ in range(10)]
    await followers_of(name, 1)
    await asyncio.sleep(0.2)  # all of them have looked, and wait

    await numbered(name, 1, 5)

    assert [numbers(entries) for entries in await asyncio.gather(*following)] == [
        [1, 2, 3, 4, 5]
    ] * 10


async def test_one_who_leaves_takes_no_wake_from_those_who_stay(no_looks: None) -> None:
    name = some_channel()
    staying = asyncio.create_task(take(name, 4))
    await followers_of(name, 1)
    leaving = asyncio.create_task(take(name, 2))
    await asyncio.sleep(0.1)

    await numbered(name, 1, 2)
    await leaving
    await numbered(name, 3, 4)

    assert numbers(await staying) == [1, 2, 3, 4]


async def test_one_who_comes_as_the_last_one_leaves_is_woken(no_looks: None) -> None:
    name = some_channel()
    for number in range(1, 40):
        leaving = asyncio.create_task(take(name, 1, after=None))
        await followers_of(name, 1)
        leaving.cancel()
        await asyncio.sleep(0)
        coming = asyncio.create_task(take(name, number))
        await asyncio.sleep(0.01)

        await numbered(name, number, number)

        assert numbers(await coming) == list(range(1, number + 1))
        await asyncio.gather(leaving, return_exceptions=True)


async def test_wakes_do_not_pile_up(no_looks: None) -> None:
    name = some_channel()
    async with wakes.woken(name) as look:
        await live.publish_all([(name, uuid4(), {"n": n}) for n in range(5000)])
        await asyncio.sleep(0.2)
        assert look.is_set()
        assert wakes._broadcast is not None
        queues: Any = wakes._broadcast._subscribers[f"wake:{name}"]
        assert [queue.qsize() for queue in queues] == [0]


async def test_a_cancellation_that_is_lost_on_the_way_to_redis_ends_it(
    no_looks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is cancelled in the turn in which its command is sent, as `wait_for` forgets it."""
    name = some_channel()
    following = asyncio.create_task(take(name, 3))
    await followers_of(name, 1)
    send, lost = Connection._send_packed_command, 0

    async def cancelled_meanwhile(self: Connection, command: Any) -> None:
        nonlocal lost
        await send(self, command)
        if b"XRANGE" in b"".join(command) and not lost:
            lost += following.cancel()

    monkeypatch.setattr(Connection, "_send_packed_command", cancelled_meanwhile)
    await numbered(name, 1, 1)
    await asyncio.wait({following}, timeout=SECONDS - 1)

    assert (lost, following.cancelled()) == (1, True)


async def outcome(name: str) -> list[int] | str:
    """What a follower gets that begins while the server is away."""
    try:
        return numbers(await take(name, 1))
    except Exception as error:
        return "told so" if is_store_fault(error) else repr(error)


async def test_who_begins_while_the_server_is_away_is_served_or_told_so(
    server: Valkey,
) -> None:
    name = some_channel()
    await numbered(name, 1, 1)
    await take(name, 1)
    server.kill()
    following = asyncio.create_task(outcome(some_channel()))
    await asyncio.sleep(0.5)

    assert await following in ([1], "told so")


async def test_connections_that_break_while_followers_come_leave_the_wakes_whole(
    server: Valkey,
) -> None:
    churning = Process("tests.kernel.streams.churning", env={"REDIS_URL": server.url})
    try:
        assert await eventually(lambda: churning.said("woken"), bool, seconds=12)
        assert await eventually(lambda: churning.said("let go"), bool, seconds=3)
    finally:
        churning.kill()
