"""One subscription at the owning subgraph, reconnected after failures."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from router.subscriptions.cursors import Cursor, format_cursor, parse_cursor
from router.subscriptions.documents import RequestRejected
from router.subscriptions.subgraph_query import AFTER, CURSOR
from subgraphs.kernel.errors import Unavailable
from subgraphs.kernel.identity.viewer import VIEWER_HEADER

log = structlog.stdlib.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two attempts to connect."""

_OPEN_TIMEOUT = 5.0

Sign = Callable[[], Awaitable[str]]
"""Returns a newly signed viewer: a signature is valid for a minute, a subscription for hours."""


Complete = Callable[[dict[str, Any]], Awaitable[None]]
"""Completes a result's payload, in place, before it is encoded."""


class Result(NamedTuple):
    """One execution's result, encoded as the payload that clients receive."""

    cursor: Cursor
    payload: bytes


class SubgraphRequest(NamedTuple):
    """A subscription request to a subgraph."""

    url: str
    query: str
    response_key: str
    variables: Mapping[str, Any]
    entities: str = ""
    """The further fields that the router resolves; tells requests of different documents apart."""


async def subscribe(
    request: SubgraphRequest, sign: Sign, after: Cursor, complete: Complete | None = None
) -> AsyncIterator[Result]:
    """Yields the results after a cursor, each once and in order, across reconnections.

    Raises:
        RequestRejected: the subgraph or authz rejects the viewer.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            async for result in _connection(request, sign, after, complete):
                after, pause = result.cursor, _FIRST_PAUSE
                yield result
        except (OSError, WebSocketException, TimeoutError, Unavailable) as error:
            log.info(
                "subgraph_connection_lost",
                url=str(request.url),
                error=repr(error),
                after=str(after),
            )
        # No tenacity here: its context manager swallows the GeneratorExit that a `yield` inside it
        # raises, and it cannot start again from the first pause after a result.
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  (jitter, no secret)
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _connection(
    request: SubgraphRequest, sign: Sign, after: Cursor, complete: Complete | None
) -> AsyncIterator[Result]:
    """Yields the results of one connection until it ends."""
    async with connect(
        request.url.replace("http", "ws", 1),
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers={VIEWER_HEADER: await sign()},
        compression=None,
        open_timeout=_OPEN_TIMEOUT,
        max_size=None,
    ) as socket:
        await _send(socket, {"type": "connection_init"})
        variables = {**request.variables, AFTER: format_cursor(after)}
        payload = {"query": request.query, "variables": variables}
        async for frame in socket:
            message = msgspec.json.decode(frame)
            match message["type"]:
                case "connection_ack":
                    await _send(socket, {"id": "1", "type": "subscribe", "payload": payload})
                case "next":
                    yield await _result(message["payload"], request.response_key, complete)
                case "error":
                    raise RequestRejected(*_without_locations(message["payload"]))
                case "ping":
                    await _send(socket, {"type": "pong"})
                case "complete":
                    return


async def _result(payload: dict[str, Any], response_key: str, complete: Complete | None) -> Result:
    data = payload.get("data")
    if not data or data.get(response_key) is None:
        raise RequestRejected(*_without_locations(payload.get("errors") or [_NO_DATA]))
    cursor = parse_cursor(data[response_key].pop(CURSOR))
    if complete is not None:
        await complete(payload)
    return Result(cursor, msgspec.json.encode(payload))


def _without_locations(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns errors without locations, which refer to the rewritten document."""
    return [
        {name: value for name, value in error.items() if name != "locations"} for error in errors
    ]


_NO_DATA = {
    "message": "Something went wrong on our side.",
    "extensions": {"code": "INTERNAL"},
}


async def _send(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(json.dumps(message))
