"""Every claim is delivered once and in order through failures; equal operations share a source."""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.websockets import WebsocketsTransport

from router.subscriptions import client_connection, result_buffer, ws
from subgraphs.kernel import redis
from tests.fixtures.deadline import eventually
from tests.fixtures.ports import free_port
from tests.fixtures.programs import ROOT
from tests.router.subscriptions import claims_subgraph
from tests.router.subscriptions.clients import LIVE, events, live, socket, subscribed
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers

CLAIMS, CUTS = 300, 10


async def test_the_gql_client_receives_claims_live(stack: GatewayStack) -> None:
    transport = WebsocketsTransport(
        url=stack.url.replace("http", "ws") + "/graphql",
        init_payload={"siteKey": stack.key},
    )
    document = GraphQLRequest(LIVE % "{ text cursor }", variable_values={"k": stack.key})
    async with (
        asyncio.timeout(10),
        Client(transport=transport) as session,
        aclosing(session.subscribe(document)) as answers,
    ):
        first = asyncio.ensure_future(anext(answers))
        await stack.wait_for_subgraph_subscriptions()
        await stack.publish(1, 2, 3)
        seen = [await first, await anext(answers), await anext(answers)]
    assert numbers([answer["liveNotifications"] for answer in seen]) == [1, 2, 3]


async def test_equal_operations_share_one_subgraph_subscription(stack: GatewayStack) -> None:
    without_variables = {
        "query": f'subscription {{ liveNotifications(siteKey: "{stack.key}") {{ text cursor }} }}'
    }
    async with (
        subscribed(stack.url, stack.key) as one,
        subscribed(stack.url, stack.key) as two,
        events(stack.url, live(stack.key), key=stack.key) as three,
        events(stack.url, without_variables, key=stack.key) as four,
    ):
        await stack.wait_for_subscribers(4)
        await stack.publish(1, 2, 3)
        seen = [await client.claims(3) for client in (one, two, three, four)]
    assert [numbers(claims) for claims in seen] == [[1, 2, 3]] * 4
    assert len(claims_subgraph.requested_after) == 2  # one per document


async def test_too_many_operations_of_one_client_do_not_end_the_others(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.subscriptions.feed_registry.MAX_FEEDS", 3)
    async with (
        subscribed(stack.url, stack.key) as one,
        subscribed(stack.url, stack.key) as two,
        socket(stack.url) as excessive,
    ):
        await stack.wait_for_subscribers(2)
        await excessive.initialise(siteKey=stack.key)
        for name in "abcd":
            query = f'subscription {{ liveNotifications(siteKey: "{stack.key}") {{ {name}: id }} }}'
            await excessive.send("subscribe", id=name, payload={"query": query})
        refused = [await excessive.receive() for _ in range(2)]
        async with subscribed(stack.url, stack.key) as newcomer:
            await stack.wait_for_subscribers(5)  # three clients, two operations of the other
            await stack.publish(1)
            seen = [await client.claims(1) for client in (one, two, newcomer)]

    assert [numbers(claims) for claims in seen] == [[1]] * 3
    assert [message["id"] for message in refused] == ["b", "c"]
    codes = [message["payload"][0]["extensions"]["code"] for message in refused]
    assert codes == ["RATE_LIMITED"] * 2


async def test_resuming_after_cuts_and_gateway_restarts_delivers_every_claim_once(
    stack: GatewayStack, tmp_path: Path
) -> None:
    """The gateway runs as a process and is killed twice while claims are published."""
    gateway = GatewayProcess(tmp_path)
    seen: list[dict[str, Any]] = []
    publishing = asyncio.create_task(publish_all(stack))
    rng = Random(1)
    try:
        async with asyncio.timeout(60):
            await gateway.start()
            for cut in range(CUTS + 1):
                if cut in (3, 7):
                    await gateway.kill()
                    await gateway.start()
                wanted = CLAIMS if cut == CUTS else (cut + 1) * CLAIMS // (CUTS + 1)
                after = seen[-1]["cursor"] if seen else "0-0"
                async with subscribed(gateway.url, stack.key, after) as client:
                    while len(seen) < wanted:
                        seen += await client.claims(1)
                    if rng.random() < 0.5:  # aborted without a close frame, with results in flight
                        client.connection.transport.abort()
            await publishing
    finally:
        await gateway.kill()
    assert numbers(seen) == list(range(CLAIMS))


async def publish_all(stack: GatewayStack) -> None:
    for number in range(CLAIMS):
        await stack.publish(number)
        await asyncio.sleep(0.005)


class GatewayProcess:
    """The gateway as a process, started as in production."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._log = folder / "gateway.log"
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        command = [sys.executable, "-m", "router.subscriptions", "--port", str(self._port)]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdout=log, stderr=log
            )

        async def ready() -> bool:
            async with socket(self.url) as client:
                await client.initialise()
                return True

        await eventually(ready, bool)

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


async def test_a_subgraph_restart_loses_nothing(stack: GatewayStack) -> None:
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await stack.publish(1, 2)
        assert numbers(await client.claims(2)) == [1, 2]

        await stack.stop("subgraph")
        await stack.publish(3, 4)
        await stack.start("subgraph")
        await stack.publish(5)

        assert numbers(await client.claims(3)) == [3, 4, 5]


async def test_a_subgraph_restart_before_the_first_claim_loses_nothing(stack: GatewayStack) -> None:
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await stack.stop("subgraph")
        await stack.publish(1)
        await stack.start("subgraph")
        assert numbers(await client.claims(1)) == [1]


async def test_an_outage_of_subgraph_and_authz_loses_nothing(stack: GatewayStack) -> None:
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await stack.stop("authz")
        await stack.stop("subgraph")
        await stack.start("subgraph")
        await asyncio.sleep(0.5)
        await stack.publish(1)
        await stack.start("authz")
        assert numbers(await client.claims(1)) == [1]


async def test_a_redis_restart_loses_nothing(stack: GatewayStack) -> None:
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await stack.publish(1)
        assert numbers(await client.claims(1)) == [1]
        stack.valkey.kill()
        await asyncio.sleep(0.3)
        stack.valkey.start()
        await stack.publish(2, 3)
        assert numbers(await client.claims(2)) == [2, 3]


async def test_a_restart_of_redis_and_subgraph_loses_nothing(stack: GatewayStack) -> None:
    """As after a reboot: the subgraph is back first, and has no Redis to read from."""
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await stack.publish(1)
        assert numbers(await client.claims(1)) == [1]
        stack.valkey.kill()
        await stack.stop("subgraph")
        await stack.start("subgraph")
        await asyncio.sleep(6)
        stack.valkey.start()
        await stack.publish(2)
        assert numbers(await client.claims(1)) == [2]


async def test_broken_broadcast_connections_lose_nothing(stack: GatewayStack) -> None:
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        for number in range(1, 11):
            await redis.client().client_kill_filter(_type="pubsub")
            await stack.publish(number)
            await asyncio.sleep(0.05)
        assert numbers(await client.claims(10)) == list(range(1, 11))


async def test_a_future_cursor_does_not_delay_other_subscribers(stack: GatewayStack) -> None:
    async with (
        subscribed(stack.url, stack.key, "999999999999999-0"),
        subscribed(stack.url, stack.key) as client,
    ):
        await stack.wait_for_subscribers(2)
        await stack.publish(1)
        assert numbers(await client.claims(1)) == [1]


async def test_a_replay_reaches_only_its_subscriber(
    stack: GatewayStack,
) -> None:
    await stack.publish(*range(2_500))
    async with (
        subscribed(stack.url, stack.key, "0-0") as resuming,
        subscribed(stack.url, stack.key) as beginning,
    ):
        reading = asyncio.create_task(resuming.claims(2_501))
        await stack.wait_for_subscribers(2)
        await stack.publish(2_500)
        assert numbers(await beginning.claims(1)) == [2_500]
        assert numbers(await reading) == list(range(2_501))


async def test_a_resuming_subscriber_joins_the_shared_feed_at_the_next_claim(
    stack: GatewayStack,
) -> None:
    first, *_ = await stack.publish(1, 2)
    async with (
        subscribed(stack.url, stack.key),
        subscribed(stack.url, stack.key, first) as resuming,
    ):
        assert numbers(await resuming.claims(1)) == [2]
        await stack.publish(3)
        assert numbers(await resuming.claims(1)) == [3]

        async def open_subscriptions() -> int:
            return len(claims_subgraph.open_subscriptions)

        await eventually(open_subscriptions, lambda count: count == 1, seconds=5)


async def test_an_ended_session_does_not_end_the_users_other_subscriptions(
    stack: GatewayStack,
) -> None:
    """Two sessions of one user share a feed; the session that opened it is revoked."""
    first, second = (f"Bearer {stack.site} {name}" for name in ("first", "second"))
    async with socket(stack.url) as one, socket(stack.url) as two:
        for number, (client, credential) in enumerate(((one, first), (two, second)), 1):
            await client.initialise(authorization=credential)
            await client.send("subscribe", id="1", payload=live(stack.key))
            await stack.wait_for_subscribers(number)
        await stack.wait_for_subgraph_subscriptions()
        stack.credentials.revoked.add(first)
        await stack.stop("subgraph")
        await stack.start("subgraph")
        await asyncio.sleep(1)
        await stack.publish(1)
        assert numbers(await two.claims(1)) == [1]


async def test_a_stalled_subscriber_is_closed_and_delays_no_other(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_connection, "STALL_SECONDS", 1)
    async with (
        subscribed(stack.url, stack.key) as stalled,
        subscribed(stack.url, stack.key) as reading,
    ):
        await stack.wait_for_subscribers(2)
        for number in range(0, 3_000, 125):  # 12 MB: more than the socket buffers hold
            await stack.publish(*range(number, number + 125), size=4_000)
            assert numbers(await reading.claims(125)) == list(range(number, number + 125))
        await eventually(stack.subscriber_count, lambda count: count == 1, seconds=5)
        code, reason = await stalled.closed()

    assert code == ws.TOO_SLOW
    assert "resume" in reason
    assert len(claims_subgraph.requested_after) == 1


async def test_a_burst_over_the_buffer_size_reaches_a_reading_subscriber(
    stack: GatewayStack,
) -> None:
    """Publishes more at once than the buffer holds, to a subscriber that reads at full speed."""
    burst = 3 * result_buffer.BUFFER_RESULTS
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await stack.publish(1)
        assert numbers(await client.claims(1)) == [1]

        await stack.publish(*range(2, burst))

        assert numbers(await client.claims(burst - 2)) == list(range(2, burst))
