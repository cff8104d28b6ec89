"""Upstreams for Envoy's tests: apps that respond with the request they received."""

import asyncio
import json
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from starlette.types import Receive, Scope, Send


class ReceivedRequest(NamedTuple):
    """A request as the upstream received it."""

    app: str
    method: str
    path: str
    headers: list[tuple[str, str]]
    length: int

    def all(self, name: str) -> list[str]:
        """Returns every value of a header."""
        return [value for key, value in self.headers if key == name]


class Echo:
    """Responds to every request and WebSocket with the request it received."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": json.dumps(self._received(scope, 0))})
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            body = json.dumps(self._received(scope, await _length(receive))).encode()
            headers = [(b"content-type", b"application/json"), (b"server", b"echo")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def _received(self, scope: Scope, length: int) -> ReceivedRequest:
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        path = scope["raw_path"].decode()
        return ReceivedRequest(self.name, scope.get("method", "WEBSOCKET"), path, headers, length)


def received(answer: httpx.Response) -> ReceivedRequest:
    """Returns the request that the upstream received."""
    assert answer.status_code == 200, answer.text
    return read(answer.text)


def read(text: str) -> ReceivedRequest:
    app, method, path, headers, length = json.loads(text)
    return ReceivedRequest(app, method, path, [(name, value) for name, value in headers], length)


async def raw(address: str, lines: list[str], body: str = "") -> tuple[int, Any]:
    """Sends a request exactly as written; returns status and JSON body.

    For requests that HTTP clients refuse to send.
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
    """Reads one response: after a rejection, Envoy keeps the connection open for a second."""
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
