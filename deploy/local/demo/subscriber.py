"""A subscriber at the public port; any client of graphql-transport-ws would do as well."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

_GOODBYE_SECONDS = 0.1
"""Whoever leaves with frames unread would wait for a goodbye that comes behind them."""

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
    variables = {"key": watch or site_key, "after": after}
    async with subscribed(url, {"siteKey": site_key}, LIVE, variables) as answers:
        yield (answer["liveNotifications"] async for answer in answers)


@asynccontextmanager
async def subscribed(
    url: str, credentials: Mapping[str, str], document: str, variables: Mapping[str, Any]
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The `data` of a subscription's answers.

    Raises:
        RuntimeError: it was refused; the message has the errors.
    """
    address = url.replace("http", "ws", 1) + "/graphql"
    protocols = [Subprotocol("graphql-transport-ws")]
    async with connect(
        address, subprotocols=protocols, compression=None, close_timeout=_GOODBYE_SECONDS
    ) as socket:
        await _say(socket, {"type": "connection_init", "payload": credentials})
        message = json.loads(await socket.recv())
        if message["type"] != "connection_ack":
            raise RuntimeError(f"expected connection_ack, got {message}")
        payload = {"query": document, "variables": variables}
        await _say(socket, {"id": "1", "type": "subscribe", "payload": payload})
        async with aclosing(_answers(socket)) as answers:
            yield answers


async def _answers(socket: ClientConnection) -> AsyncGenerator[dict[str, Any], None]:
    async for frame in socket:
        message = json.loads(frame)
        match message["type"]:
            case "next":
                yield message["payload"]["data"]
            case "ping":
                await _say(socket, {"type": "pong"})
            case "error":
                raise RuntimeError(message["payload"])
            case "complete":
                return


async def _say(socket: ClientConnection, message: Mapping[str, Any]) -> None:
    await socket.send(json.dumps(message))
