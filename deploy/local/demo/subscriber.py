"""The demo subscriber: a client of GraphQL subscriptions at the public port.

It speaks graphql-transport-ws, as any client of that protocol does.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

_CLOSE_SECONDS = 0.1
"""How long closing waits for the server's close frame, which stands behind all unread messages."""

LIVE = """
subscription Live($key: String!, $after: String) {
  liveNotifications(siteKey: $key, after: $after) {
    id cursor text occurredAt publishedAt sourceEventIds
  }
}"""


@asynccontextmanager
async def subscribe_to_claims(
    url: str, site_key: str, *, after: str | None = None, watch: str | None = None
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The claims of a site as they are published, from now on or after a cursor.

    Args:
        url: the public address, http(s).
        watch: the key of the site to subscribe to, where it is not the one that authenticates.
    """
    variables = {"key": watch or site_key, "after": after}
    async with subscribe(url, {"siteKey": site_key}, LIVE, variables) as results:
        yield (result["liveNotifications"] async for result in results)


@asynccontextmanager
async def subscribe(
    url: str, credentials: Mapping[str, str], document: str, variables: Mapping[str, Any]
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The `data` of each result of a subscription.

    Raises:
        RuntimeError: the gateway refused the connection or the subscription; the message has its
            errors.
    """
    async with connect(
        url.replace("http", "ws", 1) + "/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        compression=None,
        close_timeout=_CLOSE_SECONDS,
        proxy=None,
    ) as socket:
        await _send(socket, {"type": "connection_init", "payload": credentials})
        message = json.loads(await socket.recv())
        if message["type"] != "connection_ack":
            raise RuntimeError(f"expected connection_ack, got {message}")
        payload = {"query": document, "variables": variables}
        await _send(socket, {"id": "1", "type": "subscribe", "payload": payload})
        async with aclosing(_results(socket)) as results:
            yield results


async def _results(socket: ClientConnection) -> AsyncGenerator[dict[str, Any], None]:
    async for frame in socket:
        message = json.loads(frame)
        match message["type"]:
            case "next":
                yield message["payload"]["data"]
            case "ping":
                await _send(socket, {"type": "pong"})
            case "error":
                raise RuntimeError(message["payload"])
            case "complete":
                return


async def _send(socket: ClientConnection, message: Mapping[str, Any]) -> None:
    await socket.send(json.dumps(message))
