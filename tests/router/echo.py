"""What stands behind Envoy in its tests: apps that answer with what they were sent."""

import asyncio
import json
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from starlette.types import Receive, Scope, Send


class Seen(NamedTuple):
    """A request as it looks from behind Envoy."""

    app: str
    method: str
    path: str
    headers: list[tuple[str, str]]
    length: int

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]


class Echo:
    """Answers any request, and any WebSocket, with what it sees of it."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": json.dumps(self._seen(scope, 0))})
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            body = json.dumps(self._seen(scope, await _length(receive))).encode()
            headers = [(b"content-type", b"application/json"), (b"server", b"echo")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def _seen(self, scope: Scope, length: int) -> Seen:
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        path = scope["raw_path"].decode()
        return Seen(self.name, scope.get("method", "WEBSOCKET"), path, headers, length)


def seen(answer: httpx.Response) -> Seen:
    """What the app behind saw of the request."""
    assert answer.status_code == 200, answer.text
    return read(answer.text)


def read(text: str) -> Seen:
    app, method, path, headers, length = json.loads(text)
    return Seen(app, method, path, [(name, value) for name, value in headers], length)


async def raw(address: str, lines: list[str], body: str = "") -> tuple[int, Any]:
    """Send a request exactly as written; answers status and body.

    For what no tidy client would send.
    """
    host = urlsplit(address)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    head = [*lines, "host: proofgraph.test", "connection: close", "", ""]
    writer.write(("\r\n".join(head) + body).encode())
    status, content = await asyncio.wait_for(_answer(reader), 10)
    writer.close()
    await writer.wait_closed()
    return status, json.loads(content)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One answer and no more: for a second after a refusal, Envoy waits for the client to close."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = re.search(r"content-length: (\d+)", head)
    size = int(length[1]) if length else int(await reader.readline(), 16)  # or in one chunk
    return int(head.split()[1]), await reader.readexactly(size)


async def _length(receive: Receive) -> int:
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    return length
