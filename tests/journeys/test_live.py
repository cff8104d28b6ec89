"""The subscription gateway at the public port: its protocols, usual clients, stalled clients."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from deploy.local.demo.merchant import DemoMerchant, Shop
from deploy.local.demo.shopify import deliver, demo_orders
from deploy.local.demo.subscriber import LIVE, subscribe_to_claims
from tests.fixtures.deadline import eventually
from tests.journeys.conftest import Running
from tests.journeys.live_channel import Channel
from tests.journeys.live_channel import channel as channel

GRAPHQL_WS = Path(__file__).parent / "graphql_ws.mjs"
pytestmark = pytest.mark.one_gateway

SSE = {"Accept": "text/event-stream"}


@asynccontextmanager
async def socket_to(running: Running, **options: Any) -> AsyncIterator[ClientConnection]:
    address = running.url.replace("http", "ws", 1) + "/graphql"
    protocols = [Subprotocol("graphql-transport-ws")]
    async with connect(
        address, subprotocols=protocols, compression=None, close_timeout=0.1, proxy=None, **options
    ) as socket:
        yield socket


async def send(socket: ClientConnection, *messages: object) -> None:
    for message in messages:
        text = message if isinstance(message, str) else json.dumps(message)
        await socket.send(text)


async def close_code(socket: ClientConnection) -> int:
    async with asyncio.timeout(15):
        async for _ in _frames(socket):
            pass
    assert socket.close_code is not None
    return socket.close_code


def init(shop: Shop) -> dict[str, Any]:
    return {"type": "connection_init", "payload": {"siteKey": shop.site_key}}


def subscribe(shop: Shop, id_: str = "1", after: str | None = None) -> dict[str, Any]:
    payload = {"query": LIVE, "variables": {"key": shop.site_key, "after": after}}
    return {"id": id_, "type": "subscribe", "payload": payload}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["not json"], 4400),
        ([{"type": "connection_init", "payload": {"siteKey": "pk_nobody"}}], 4403),
        ([{"type": "connection_init", "payload": {"authorization": "Bearer x.y.z"}}], 4403),
        ([{"id": "1", "type": "subscribe", "payload": {"query": "{ plans { id } }"}}], 4401),
        ([{"type": "connection_init"}, {"type": "connection_init"}], 4429),
        ([{"type": "connection_init"}, {"type": "nonsense"}], 4400),
        ([{"type": "connection_init"}, {"id": "1", "type": "subscribe", "payload": {}}], 4400),
        ([{"type": "connection_init"}, "x" * 70_000], 4400),
    ],
)
async def test_a_violation_of_the_protocol_closes_the_connection_with_its_code(
    running: Running, messages: list[object], code: int
) -> None:
    async with socket_to(running) as socket:
        await send(socket, *messages)

        assert await close_code(socket) == code


async def test_an_operation_id_in_use_is_refused(running: Running, shop: Shop) -> None:
    async with socket_to(running) as socket:
        await send(socket, init(shop), subscribe(shop), subscribe(shop))

        assert await close_code(socket) == 4409


async def test_an_error_ends_the_operation_and_not_the_connection(
    running: Running, shop: Shop
) -> None:
    async with socket_to(running) as socket:
        await send(socket, init(shop), subscribe(shop, "bad", after="nonsense"))
        await send(
            socket, {"id": "q", "type": "subscribe", "payload": {"query": "{ plans { id } }"}}
        )
        messages = [json.loads(await socket.recv()) for _ in range(4)]

    by_type = {(message.get("id"), message["type"]): message for message in messages}
    (error,) = by_type["bad", "error"]["payload"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    plans = by_type["q", "next"]["payload"]["data"]["plans"]
    assert [plan["id"] for plan in plans] == ["free", "starter", "growth"]
    assert ("q", "complete") in by_type


async def test_the_gql_client_of_python_gets_a_claim(
    running: Running, public: httpx.AsyncClient, shop: Shop
) -> None:
    transport = WebsocketsTransport(
        url=running.url.replace("http", "ws", 1) + "/graphql",
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        init_payload={"siteKey": shop.site_key},
    )
    query = gql(LIVE)
    query.variable_values = {"key": shop.site_key, "after": "0-0"}
    (order,) = demo_orders(1, until=datetime.now(UTC))
    await deliver(public, shop.hook_url, shop.hook_secret, order)

    async with Client(transport=transport) as session:
        async with asyncio.timeout(15):
            result = await anext(session.subscribe(query))

    assert result["liveNotifications"]["text"].endswith(order["line_items"][0]["title"])


async def test_the_graphql_ws_client_of_javascript_gets_a_claim(
    running: Running, public: httpx.AsyncClient, shop: Shop
) -> None:
    (order,) = demo_orders(1, until=datetime.now(UTC))
    await deliver(public, shop.hook_url, shop.hook_secret, order)

    process = await asyncio.create_subprocess_exec(
        *("node", str(GRAPHQL_WS), running.url, shop.site_key, LIVE),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)

    claim = json.loads(output)["liveNotifications"]
    assert claim["text"].endswith(order["line_items"][0]["title"])


async def test_server_sent_events_carry_claims(
    public: httpx.AsyncClient, shop: Shop, channel: Channel
) -> None:
    first, second = await channel.publish(2)
    request = {"query": LIVE, "variables": {"key": shop.site_key, "after": first}}
    headers = {**SSE, "X-Proofgraph-Site-Key": shop.site_key}

    async with public.stream("POST", "/graphql", json=request, headers=headers) as response:
        lines = response.aiter_lines()
        received = [line async for line in _until_data(lines)]

    assert response.headers["content-type"].startswith("text/event-stream")
    assert received[-2] == "event: next"
    data = json.loads(received[-1].removeprefix("data: "))["data"]
    assert data["liveNotifications"]["cursor"] == second


async def test_server_sent_events_refuse_with_a_status(
    public: httpx.AsyncClient, shop: Shop
) -> None:
    request = {"query": LIVE, "variables": {"key": shop.site_key}}

    unknown = await public.post(
        "/graphql", json=request, headers={**SSE, "X-Proofgraph-Site-Key": "pk_nobody"}
    )
    foreign = await public.post(
        "/graphql",
        json=request,
        headers={
            **SSE,
            "X-Proofgraph-Site-Key": shop.site_key,
            "Origin": "https://elsewhere.example",
        },
    )

    assert (unknown.status_code, foreign.status_code) == (401, 403)
    assert unknown.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert foreign.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_stalled_client_is_closed_and_the_others_receive_every_claim(
    running: Running, shop: Shop, channel: Channel
) -> None:
    count = 3_000
    async with socket_to(running, max_queue=1) as stalled:
        await send(stalled, init(shop), subscribe(shop))
        assert json.loads(await stalled.recv())["type"] == "connection_ack"
        async with subscribe_to_claims(running.url, shop.site_key, after="0-0") as claims:
            publishing = asyncio.create_task(channel.publish(count, text="x" * 10_000))
            async with asyncio.timeout(60):
                received = [(await anext(claims))["cursor"] for _ in range(count)]
        cursors = await publishing

        assert received == cursors
        assert await close_code(stalled) == 4290


async def test_a_logged_out_token_opens_no_subscription(
    running: Running, merchant: DemoMerchant
) -> None:
    await merchant.execute("mutation { logOut }")
    credentials = {"authorization": f"Bearer {merchant.token}"}

    async def outcome() -> int | None:
        async with socket_to(running) as socket:
            await send(socket, {"type": "connection_init", "payload": credentials})
            async for _ in _frames(socket):
                break
            return socket.close_code

    # The edge authz caches a session for some seconds.
    await eventually(outcome, lambda code: code == 4403)


async def _frames(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    """All frames until the connection is closed, with or without a close frame."""
    try:
        async for frame in socket:
            yield frame
    except ConnectionClosed:
        return


async def _until_data(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line.startswith("data: {"):
            return
