"""Every claim once and in order, whatever breaks; and each distinct question asked once."""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.websockets import WebsocketsTransport

from router.subscriptions import feed, ws
from subgraphs.kernel import redis
from tests.fixtures.deadline import eventually
from tests.fixtures.ports import free_port
from tests.fixtures.programs import ROOT
from tests.router.subscriptions import owner
from tests.router.subscriptions.clients import LIVE, events, following, live, socket
from tests.router.subscriptions.world import World, numbers

CLAIMS, CUTS = 500, 20


async def test_gql_follows_as_it_comes(world: World) -> None:
    transport = WebsocketsTransport(
        url=world.url.replace("http", "ws") + "/graphql",
        init_payload={"siteKey": world.key},
    )
    document = GraphQLRequest(LIVE % "{ text cursor }", variable_values={"k": world.key})
    async with (
        asyncio.timeout(10),
        Client(transport=transport) as session,
        aclosing(session.subscribe(document)) as answers,
    ):
        first = asyncio.ensure_future(anext(answers))
        await world.followed()
        await world.publish(1, 2, 3)
        seen = [await first, await anext(answers), await anext(answers)]
    assert numbers([answer["liveNotifications"] for answer in seen]) == [1, 2, 3]


async def test_those_who_ask_the_same_cost_the_owner_one_question(world: World) -> None:
    other_words = {
        "query": f'subscription {{ liveNotifications(siteKey: "{world.key}") {{ text cursor }} }}'
    }
    async with (
        following(world.url, world.key) as one,
        following(world.url, world.key) as two,
        events(world.url, live(world.key), key=world.key) as three,
        events(world.url, other_words, key=world.key) as four,
    ):
        await world.joined(4)
        await world.publish(1, 2, 3)
        seen = [await client.claims(3) for client in (one, two, three, four)]
    assert [numbers(claims) for claims in seen] == [[1, 2, 3]] * 4
    assert len(owner.asked) == 2  # one for each of the two documents


async def test_a_greedy_visitor_shuts_nobody_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.subscriptions.hub.MAX_FEEDS", 3)
    async with (
        following(world.url, world.key) as one,
        following(world.url, world.key) as two,
        socket(world.url) as greedy,
    ):
        await world.joined(2)
        await greedy.greet(siteKey=world.key)
        for name in "abcd":
            query = f'subscription {{ liveNotifications(siteKey: "{world.key}") {{ {name}: id }} }}'
            await greedy.say("subscribe", id=name, payload={"query": query})
        refused = [await greedy.hear() for _ in range(2)]
        async with following(world.url, world.key) as newcomer:
            await world.joined(5)  # with two that the greedy one was left
            await world.publish(1)
            seen = [await client.claims(1) for client in (one, two, newcomer)]

    assert [numbers(claims) for claims in seen] == [[1]] * 3
    assert [message["id"] for message in refused] == ["b", "c"]
    codes = [message["payload"][0]["extensions"]["code"] for message in refused]
    assert codes == ["RATE_LIMITED"] * 2


async def test_a_subscriber_cut_often_gets_every_claim_once_over_restarts_of_the_door(
    world: World, tmp_path: Path
) -> None:
    """The door is a process here, killed twice while claims pass."""
    door = Door(tmp_path)
    seen: list[dict[str, Any]] = []
    publishing = asyncio.create_task(publish_all(world))
    dice = Random(1)
    try:
        async with asyncio.timeout(60):
            await door.start()
            for cut in range(CUTS + 1):
                if cut in (7, 14):
                    await door.kill()
                    await door.start()
                wanted = CLAIMS if cut == CUTS else (cut + 1) * CLAIMS // (CUTS + 1)
                after = seen[-1]["cursor"] if seen else "0-0"
                async with following(door.url, world.key, after) as client:
                    while len(seen) < wanted:
                        seen += await client.claims(1)
                    if dice.random() < 0.5:  # away without a word, with answers under way
                        client.connection.transport.abort()
            await publishing
    finally:
        await door.kill()
    assert numbers(seen) == list(range(CLAIMS))


async def publish_all(world: World) -> None:
    for number in range(CLAIMS):
        await world.publish(number)
        await asyncio.sleep(0.005)


class Door:
    """The door as a process, started as in earnest."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._log = folder / "door.log"
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "router.subscriptions.app:app"]
        command += ["--port", str(self._port), "--no-access-log"]
        command += ["--ws", "websockets-sansio", "--ws-per-message-deflate", "false"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdout=log, stderr=log
            )

        async def ready() -> bool:
            async with socket(self.url) as client:
                await client.greet()
                return True

        await eventually(ready, bool)

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


async def test_the_owner_may_restart_and_nobody_notices(world: World) -> None:
    async with following(world.url, world.key) as client:
        await world.followed()
        await world.publish(1, 2)
        assert numbers(await client.claims(2)) == [1, 2]

        await world.stop("owner")
        await world.publish(3, 4)
        await world.start("owner")
        await world.publish(5)

        assert numbers(await client.claims(3)) == [3, 4, 5]


async def test_the_owner_may_restart_before_the_first_claim(world: World) -> None:
    async with following(world.url, world.key) as client:
        await world.followed()
        await world.stop("owner")
        await world.publish(1)
        await world.start("owner")
        assert numbers(await client.claims(1)) == [1]


async def test_the_owner_and_the_authz_may_be_away_together(world: World) -> None:
    async with following(world.url, world.key) as client:
        await world.followed()
        await world.stop("authz")
        await world.stop("owner")
        await world.start("owner")
        await asyncio.sleep(0.5)
        await world.publish(1)
        await world.start("authz")
        assert numbers(await client.claims(1)) == [1]


async def test_redis_may_restart_and_nobody_notices(world: World) -> None:
    async with following(world.url, world.key) as client:
        await world.followed()
        await world.publish(1)
        assert numbers(await client.claims(1)) == [1]
        world.valkey.kill()
        await asyncio.sleep(0.3)
        world.valkey.start()
        await world.publish(2, 3)
        assert numbers(await client.claims(2)) == [2, 3]


async def test_redis_and_the_owner_may_restart_together(world: World) -> None:
    """As when a machine starts again: the owner is back first, and has nothing to read from."""
    async with following(world.url, world.key) as client:
        await world.followed()
        await world.publish(1)
        assert numbers(await client.claims(1)) == [1]
        world.valkey.kill()
        await world.stop("owner")
        await world.start("owner")
        await asyncio.sleep(6)
        world.valkey.start()
        await world.publish(2)
        assert numbers(await client.claims(1)) == [2]


async def test_a_broken_broadcast_costs_nothing(world: World) -> None:
    async with following(world.url, world.key) as client:
        await world.followed()
        for number in range(1, 11):
            await redis.client().client_kill_filter(_type="pubsub")
            await world.publish(number)
            await asyncio.sleep(0.05)
        assert numbers(await client.claims(10)) == list(range(1, 11))


async def test_who_begins_in_the_future_does_not_deafen_the_others(world: World) -> None:
    async with (
        following(world.url, world.key, "999999999999999-0"),
        following(world.url, world.key) as client,
    ):
        await world.joined(2)
        await world.publish(1)
        assert numbers(await client.claims(1)) == [1]


async def test_who_begins_long_ago_does_not_bring_the_past_to_the_others(world: World) -> None:
    await world.publish(*range(5000))
    async with (
        following(world.url, world.key, "0-0") as resuming,
        following(world.url, world.key) as beginning,
    ):
        reading = asyncio.create_task(resuming.claims(5001))
        await world.joined(2)
        await world.publish(5000)
        assert numbers(await beginning.claims(1)) == [5000]
        assert numbers(await reading) == list(range(5001))


async def test_who_resumes_holds_a_connection_of_its_own_until_the_next_claim(
    world: World,
) -> None:
    first, *_ = await world.publish(1, 2)
    async with following(world.url, world.key), following(world.url, world.key, first) as resuming:
        assert numbers(await resuming.claims(1)) == [2]
        await world.publish(3)
        assert numbers(await resuming.claims(1)) == [3]

        async def asking() -> int:
            return len(owner.following)

        await eventually(asking, lambda count: count == 1, seconds=5)


async def test_one_session_that_ends_costs_the_users_others_nothing(world: World) -> None:
    """Two sessions of one user share a feed; the one it was opened with is taken away."""
    first, second = (f"Bearer {world.site} {name}" for name in ("first", "second"))
    async with socket(world.url) as one, socket(world.url) as two:
        for number, (client, credential) in enumerate(((one, first), (two, second)), 1):
            await client.greet(authorization=credential)
            await client.say("subscribe", id="1", payload=live(world.key))
            await world.joined(number)
        await world.followed()
        world.people.refused.add(first)
        await world.stop("owner")
        await world.start("owner")
        await asyncio.sleep(1)
        await world.publish(1)
        assert numbers(await two.claims(1)) == [1]


async def test_a_stalled_reader_is_closed_and_delays_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "STALL_SECONDS", 1)
    async with (
        following(world.url, world.key) as stalled,
        following(world.url, world.key) as reading,
    ):
        await world.joined(2)
        for number in range(0, 12_000, 500):  # several megabytes: more than the ways hold
            await world.publish(*range(number, number + 500), size=1000)
            assert numbers(await reading.claims(500)) == list(range(number, number + 500))
        await eventually(world.followers, lambda count: count == 1, seconds=5)
        code, reason = await stalled.closed()

    assert code == ws.TOO_SLOW
    assert "resume" in reason
    assert len(owner.asked) == 1


async def test_a_burst_does_not_make_a_reader_slow(world: World) -> None:
    """More at once than the ring holds, to somebody who reads as fast as can be."""
    burst = 3 * feed.RING_ANSWERS
    async with following(world.url, world.key) as client:
        await world.followed()
        await world.publish(1)
        assert numbers(await client.claims(1)) == [1]

        await world.publish(*range(2, burst))

        assert numbers(await client.claims(burst - 2)) == list(range(2, burst))
