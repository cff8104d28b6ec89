"""What stands behind Envoy in its tests: apps that answer with what they were sent."""

import json

from starlette.types import Receive, Scope, Send


class Echo:
    """Answers any request, and any WebSocket, with what it looks like from behind Envoy."""

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

    def _seen(self, scope: Scope, length: int) -> dict[str, object]:
        headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
        return {
            "app": self.name,
            "method": scope.get("method"),
            "path": scope["raw_path"].decode(),
            "headers": headers,
            "length": length,
        }


async def _length(receive: Receive) -> int:
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    return length
