"""A subscriber at the public port; any client of graphql-transport-ws would do as well."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

LIVE = """
subscription Live($key: String!, $after: String) {
  liveNotifications(siteKey: $key, after: $after) {
    id cursor text occurredAt publishedAt sourceEventIds
  }
}"""


@asynccontextmanager
async def following(
    url: str, site_key: str, *, after: str | None = None, watch: str | None = None
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The claims of a site as they are published, from now or after a cursor.

    Args:
        url: the public address, http(s).
        watch: the key of the site to follow, where it is not the one we come with.
    """
    address = url.replace("http", "ws", 1) + "/graphql"
    async with connect(
        address, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None
    ) as socket:
        await _say(socket, {"type": "connection_init", "payload": {"siteKey": site_key}})
        await _expect(socket, "connection_ack")
        variables = {"key": watch or site_key, "after": after}
        payload = {"query": LIVE, "variables": variables}
        await _say(socket, {"id": "1", "type": "subscribe", "payload": payload})
        async with aclosing(_claims(socket)) as claims:
            yield claims


async def _claims(socket: ClientConnection) -> AsyncGenerator[dict[str, Any]]:
    async for frame in socket:
        message = json.loads(frame)
        match message["type"]:
            case "next":
                yield message["payload"]["data"]["liveNotifications"]
            case "ping":
                await _say(socket, {"type": "pong"})
            case "error":
                raise RuntimeError(message["payload"])
            case "complete":
                return


async def _expect(socket: ClientConnection, kind: str) -> None:
    message = json.loads(await socket.recv())
    if message["type"] != kind:
        raise RuntimeError(f"expected {kind}, got {message}")


async def _say(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(json.dumps(message))
