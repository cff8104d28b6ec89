"""Clients of the door: graphql-transport-ws word for word, and Server-Sent Events."""

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
    """The payload of a subscription to a site's claims."""
    return {"query": LIVE % fields, "variables": {"k": key, "a": after}}


class Socket:
    """One connection; every wait has an end."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, type_: str, **more: Any) -> None:
        await self.connection.send(json.dumps({"type": type_, **more}))

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            heard: dict[str, Any] = json.loads(await self.connection.recv())
            return heard

    async def greet(self, **payload: Any) -> None:
        await self.say("connection_init", payload=payload)
        assert await self.hear() == {"type": "connection_ack"}

    async def claims(self, count: int, id_: str = "1") -> list[dict[str, Any]]:
        """The next claims of an operation, and nothing else meanwhile."""
        heard = [await self.hear() for _ in range(count)]
        assert all((message["id"], message["type"]) == (id_, "next") for message in heard), heard
        return [message["payload"]["data"]["liveNotifications"] for message in heard]

    async def closed(self) -> tuple[int, str]:
        """The code and the reason it was closed with, whatever comes before."""
        with pytest.raises(ConnectionClosed) as caught:
            await self._read_on()
        assert caught.value.rcvd is not None, "cut off without a word"
        return caught.value.rcvd.code, caught.value.rcvd.reason

    async def _read_on(self) -> None:
        async with asyncio.timeout(SECONDS):
            while True:
                await self.connection.recv()


@asynccontextmanager
async def socket(
    url: str, *, headers: dict[str, str] | None = None, protocol: str = "graphql-transport-ws"
) -> AsyncIterator[Socket]:
    """A connection that has said nothing yet."""
    async with connect(
        url.replace("http", "ws", 1) + "/graphql",
        subprotocols=[Subprotocol(protocol)],
        additional_headers=headers,
        compression=None,
        close_timeout=0.1,
    ) as connection:
        yield Socket(connection)


@asynccontextmanager
async def following(url: str, key: str, after: str | None = None) -> AsyncIterator[Socket]:
    """A connection that follows a site's claims as operation 1."""
    async with socket(url) as made:
        await made.greet(siteKey=key)
        await made.say("subscribe", id="1", payload=live(key, after))
        yield made


class Events:
    """One event stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def hear(self) -> tuple[str, Any]:
        """The next event's name and its data; ("", None) for a comment, ("end", None) at last."""
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
        """The next event that is no comment: the data of `next`, None for another."""
        while True:
            name, data = await self.hear()
            if name:
                return data if name == "next" else None

    async def claims(self, count: int) -> list[dict[str, Any]]:
        return [(await self.next())["data"]["liveNotifications"] for _ in range(count)]


@asynccontextmanager
async def events(
    url: str, payload: dict[str, Any], *, key: str | None = None, **headers: str
) -> AsyncIterator[Events]:
    """The event stream of a request."""
    headers = {"accept": "text/event-stream", **headers}
    if key:
        headers["x-proofgraph-site-key"] = key
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("POST", f"{url}/graphql", json=payload, headers=headers) as answer,
    ):
        yield Events(answer)
