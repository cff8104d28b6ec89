"""Test clients of the gateway: graphql-transport-ws message by message, and event streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

SECONDS = 10

LIVE = "subscription($k: String!, $a: String) { liveNotifications(siteKey: $k, after: $a) %s }"
FIELDS = "{ text cursor }"


def live(key: str, after: str | None = None, fields: str = FIELDS) -> dict[str, Any]:
    """Returns the payload of a subscription to a site's claims."""
    return {"query": LIVE % fields, "variables": {"k": key, "a": after}}


class Socket:
    """One connection; every wait has a timeout."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, type_: str, **more: Any) -> None:
        await self.connection.send(json.dumps({"type": type_, **more}))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def initialise(self, **payload: Any) -> None:
        await self.send("connection_init", payload=payload)
        assert await self.receive() == {"type": "connection_ack"}

    async def claims(self, count: int, id_: str = "1") -> list[dict[str, Any]]:
        """Returns an operation's next claims; asserts that no other message arrives between."""
        message = [await self.receive() for _ in range(count)]
        assert all((message["id"], message["type"]) == (id_, "next") for message in message), (
            message
        )
        return [message["payload"]["data"]["liveNotifications"] for message in message]

    async def closed(self) -> tuple[int, str]:
        """Returns the close code and reason, skipping messages before them."""
        with pytest.raises(ConnectionClosed) as caught:
            await self._drain()
        assert caught.value.rcvd is not None, "the connection was lost without a close frame"
        return caught.value.rcvd.code, caught.value.rcvd.reason

    async def _drain(self) -> None:
        async with asyncio.timeout(SECONDS):
            while True:
                await self.connection.recv()


@asynccontextmanager
async def socket(
    url: str,
    *,
    headers: dict[str, str] | None = None,
    protocol: str | None = "graphql-transport-ws",
) -> AsyncIterator[Socket]:
    """Opens a connection and sends nothing."""
    async with connect(
        url.replace("http", "ws", 1) + "/graphql",
        subprotocols=None if protocol is None else [Subprotocol(protocol)],
        additional_headers=headers,
        compression=None,
        close_timeout=0.1,
    ) as connection:
        yield Socket(connection)


@asynccontextmanager
async def subscribed(url: str, key: str, after: str | None = None) -> AsyncIterator[Socket]:
    """Opens a connection that subscribes to a site's claims as operation 1."""
    async with socket(url) as made:
        await made.initialise(siteKey=key)
        await made.send("subscribe", id="1", payload=live(key, after))
        yield made


class Events:
    """One event stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def receive(self) -> tuple[str, Any]:
        """Returns the next event's name and data; ("", None): a comment, ("end", None): the end."""
        name, data = "", ""
        async with asyncio.timeout(SECONDS):
            async for line in self._lines:
                if line.startswith(":"):
                    name = ""
                elif line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data = line.removeprefix("data: ")
                elif not line:
                    return name, json.loads(data) if data else None
        return "end", None

    async def next(self) -> Any:
        """Returns the data of the next event that is no comment; None unless it is a `next`."""
        while True:
            name, data = await self.receive()
            if name:
                return data if name == "next" else None

    async def claims(self, count: int) -> list[dict[str, Any]]:
        return [(await self.next())["data"]["liveNotifications"] for _ in range(count)]


@asynccontextmanager
async def events(
    url: str, payload: dict[str, Any], *, key: str | None = None, **headers: str
) -> AsyncIterator[Events]:
    """Opens the event stream of a request."""
    headers = {"accept": "text/event-stream", **headers}
    if key:
        headers["x-proofgraph-site-key"] = key
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("POST", f"{url}/graphql", json=payload, headers=headers) as answer,
    ):
        yield Events(answer)
