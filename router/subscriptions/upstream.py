"""One subscription at the subgraph that owns it, kept alive over breaks."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from router.subscriptions.cursors import Cursor, as_cursor, as_text
from router.subscriptions.documents import Refused
from router.subscriptions.rewriting import AFTER, CURSOR

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_OPEN_SECONDS = 5.0

Sign = Callable[[], Awaitable[str]]
"""Makes a fresh signed viewer: a signature lasts a minute, a subscription for hours."""


class Answer(NamedTuple):
    """One execution's result, encoded as the payload that clients get."""

    cursor: Cursor
    payload: bytes


class Asked(NamedTuple):
    """What the owner is asked."""

    url: str
    query: str
    response_key: str
    variables: Mapping[str, Any]
    operation_name: str | None = None


async def answers(asked: Asked, sign: Sign, after: Cursor) -> AsyncIterator[Answer]:
    """The answers after a cursor, without a gap or a repeat, whatever breaks on the way.

    Raises:
        Refused: the owner, or the authz, will not answer this viewer.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            async for answer in _connection(asked, sign, after):
                after, pause = answer.cursor, _FIRST_PAUSE
                yield answer
        except (OSError, WebSocketException, TimeoutError) as error:
            log.info("%s: %s; going on after %s", asked.url, error or "timed out", after)
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  (spreads, hides nothing)
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _connection(asked: Asked, sign: Sign, after: Cursor) -> AsyncIterator[Answer]:
    """What one connection gives before it breaks."""
    url = asked.url.replace("http", "ws", 1)
    headers = {"x-proofgraph-viewer": await sign()}
    async with connect(
        url,
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers=headers,
        compression=None,
        open_timeout=_OPEN_SECONDS,
        max_size=None,
    ) as socket:
        await _say(socket, {"type": "connection_init"})
        variables = {**asked.variables, AFTER: as_text(after)}
        payload = {"query": asked.query, "variables": variables}
        async for frame in socket:
            message = msgspec.json.decode(frame)
            match message["type"]:
                case "connection_ack":
                    await _say(socket, {"id": "1", "type": "subscribe", "payload": payload})
                case "next":
                    yield _answer(message["payload"], asked.response_key)
                case "error":
                    raise Refused(*_without_places(message["payload"]))
                case "ping":
                    await _say(socket, {"type": "pong"})
                case "complete":
                    return


def _answer(payload: dict[str, Any], response_key: str) -> Answer:
    data = payload.get("data")
    if not data or data.get(response_key) is None:
        raise Refused(*_without_places(payload.get("errors") or [_NOTHING]))
    cursor = as_cursor(data[response_key].pop(CURSOR))
    return Answer(cursor, msgspec.json.encode(payload))


def _without_places(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Errors without locations: those are of our document, not the client's."""
    return [
        {name: value for name, value in error.items() if name != "locations"} for error in errors
    ]


_NOTHING = {
    "message": "Something went wrong on our side.",
    "extensions": {"code": "INTERNAL"},
}


async def _say(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(json.dumps(message))
