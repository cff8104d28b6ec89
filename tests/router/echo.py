"""What stands behind Envoy in its tests: apps that answer with what they were sent."""

import asyncio
import json
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
    answer = (await asyncio.wait_for(reader.read(), 10)).decode()
    writer.close()
    await writer.wait_closed()
    head_text, _, content = answer.partition("\r\n\r\n")
    if "chunked" in head_text:
        content = content.partition("\r\n")[2].partition("\r\n")[0]
    return int(head_text.split()[1]), json.loads(content)


async def _length(receive: Receive) -> int:
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    return length
