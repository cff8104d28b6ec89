"""GraphQL over Server-Sent Events, in distinct connections mode: one request, one stream.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from router.subscriptions.authentication import Principal
from router.subscriptions.client_connection import ClientConnection
from router.subscriptions.documents import RequestRejected
from router.subscriptions.operation import Operation
from router.subscriptions.service import GraphQLRequest, Service
from router.subscriptions.ticker import Ticker

log = structlog.stdlib.get_logger(__name__)

KEEP_ALIVE_SECONDS = 12
"""Interval of comments: proxies cut idle streams, most after 30 s."""

CLOSE_SECONDS = 5
"""How long the end of the stream may wait behind data that the client has not read."""

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


class EventStream(ClientConnection):
    """The response to one authenticated request.

    Args:
        keep_alive: calls each stream when a comment is due.
    """

    __slots__ = ("_has_ended", "_operation", "_ticker")

    def __init__(self, transport: asyncio.Transport, principal: Principal, keep_alive: Ticker):
        super().__init__()
        self.connection_made(transport)
        transport.set_protocol(self)
        self._ticker = keep_alive
        self._has_ended = False
        self._operation: Operation | None = None
        self.principal = principal
        principal.attach(self)
        keep_alive.add(self)

    def run(self, service: Service, request: GraphQLRequest, *, subscriptions_only: bool) -> None:
        """Sends the head, then the operation's results."""
        self.write(_HEAD + _KEEP_ALIVE)  # the headers leave now, not with the first claim
        self._operation = Operation(self, _encode_next, b"")
        assert self.principal is not None  # noqa: S101  (set by the constructor)
        self._operation.start(
            service, self.principal, request, subscriptions_only=subscriptions_only
        )

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._end()

    def data_received(self, data: bytes) -> None:
        """Drops what a client sends after its request."""

    def on_tick(self) -> None:
        """Sends a comment."""
        if not self.is_paused and not self._has_ended:
            self.write(_KEEP_ALIVE)

    # For operations.

    def reject(self, operation: Operation, rejected: RequestRejected) -> None:
        self._finish(_errors(rejected) + _COMPLETE)

    def complete(self, operation: Operation) -> None:
        self._finish(_COMPLETE)

    def release(self, operation: Operation) -> None:
        self._operation = None

    def live_operations(self) -> Sequence[Operation]:
        return [] if self._operation is None else [self._operation]

    def end_slow(self) -> None:
        log.info("event_stream_ended", reason="slow_client")
        message = "Too slow: subscribe again with your last cursor as `after`."
        self._finish(_errors(RequestRejected.with_code(message, "TOO_SLOW")) + _COMPLETE)

    def end_failed(self) -> None:
        rejected = RequestRejected.with_code("Something went wrong on our side.", "INTERNAL")
        self._finish(_errors(rejected) + _COMPLETE)

    def revoke(self, rejected: RequestRejected) -> None:
        self._finish(_errors(rejected) + _COMPLETE)

    def shut_down(self) -> None:
        """Ends the stream without `complete`, so that the client connects again."""
        self._finish(b"")

    def _finish(self, last: bytes) -> None:
        """Sends the last events and closes; a client that does not read them is cut off."""
        if self._has_ended or self._transport is None:
            return
        self._has_ended = True
        self.write(last + _LAST_CHUNK)
        self._transport.close()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)
        self._end()

    def _end(self) -> None:
        self._ticker.discard(self)
        if self._operation is not None:
            self._operation.end()
        self._leave_principal()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _encode_next(payload: bytes, _suffix_length: int = 0) -> bytes:
    return _chunk(b"event: next\ndata: " + payload + b"\n\n")


def _errors(rejected: RequestRejected) -> bytes:
    return _encode_next(msgspec.json.encode({"errors": rejected.errors}))


_COMPLETE = _chunk(b"event: complete\ndata: \n\n")
_KEEP_ALIVE = _chunk(b":\n\n")
