"""One HTTP/1.1 connection: sends each response in its request's turn, and enforces time limits."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from subgraphs.analytics.ingest import responses
from subgraphs.analytics.ingest.http_request import HttpRequest
from subgraphs.analytics.ingest.request_reader import RequestReader
from subgraphs.analytics.ingest.responses import Refusal

MAX_PIPELINED = 32
"""Unanswered requests of one connection; reading pauses until some are answered."""

REQUEST_SECONDS = 10.0
"""How long a request may take to arrive: the snippet's are a packet or two."""

IDLE_SECONDS = 75.0
"""How long a connection is kept for its next request."""

WRITE_SECONDS = 10.0
"""How long a client may leave its responses unread."""

LINGER_SECONDS = 2.0
"""How long a refused client may go on sending: a reset at once could lose the response."""


@dataclass
class Connections:
    """The open connections of a server, and what they share.

    Attributes:
        handle: is called with each complete request.
        now: seconds of the loop's clock at the last check; precise enough for the time limits.
    """

    handle: Callable[[HttpRequest], None]
    now: float = 0.0
    open: set["Connection"] = field(default_factory=set)
    all_closed: asyncio.Event = field(default_factory=asyncio.Event)

    def remove(self, connection: "Connection") -> None:
        """Remove a closed connection."""
        self.open.discard(connection)
        if not self.open:
            self.all_closed.set()

    def enforce_time_limits(self, now: float) -> None:
        """End the connections that exceed a time limit."""
        self.now = now
        for connection in tuple(self.open):
            connection.enforce_time_limits(now)


class Connection(asyncio.Protocol):
    """The connection of one client."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._handle = connections.handle
        self._reader = RequestReader(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[HttpRequest] = deque()
        """Requests without a sent response, in the order in which they came."""
        self._since = connections.now
        """When the current request, or the lingering, began."""
        self._write_paused_since: float | None = None
        self._is_reading_paused = False
        self._is_lingering = False

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.open.add(self)
        self._connections.all_closed.clear()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._reader.close()
        self._queue.clear()
        self._connections.remove(self)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)

    def eof_received(self) -> bool:
        """Keep the connection open until the pending requests are answered."""
        self.end_input()
        return bool(self._queue)

    def pause_writing(self) -> None:
        self._write_paused_since = self._connections.now
        self._pause_or_resume_reading()

    def resume_writing(self) -> None:
        self._write_paused_since = None
        self._pause_or_resume_reading()

    # Called by the reader.

    def start_request(self) -> None:
        self._since = self._connections.now

    def receive(self, request: HttpRequest) -> None:
        self._queue.append(request)
        self._handle(request)
        if len(self._queue) >= MAX_PIPELINED:
            self._pause_or_resume_reading()

    def reject(self, request: HttpRequest, refusal: Refusal) -> None:
        self._is_lingering = True
        self._since = self._connections.now
        request.is_last = True
        self._queue.append(request)
        request.answer(refusal.encode(request.origin))

    def send_continue(self) -> None:
        interim = HttpRequest(self, b"")  # queued as well: the responses before it are sent first
        self._queue.append(interim)
        interim.answer(responses.CONTINUE)

    def end_input(self) -> None:
        self._reader.close()
        if self._queue:
            self._queue[-1].is_last = True
        elif self._transport is not None and not self._is_lingering:
            self._transport.close()

    # Called by the requests and the server.

    def flush(self) -> None:
        """Send the responses whose turn has come."""
        transport, queue = self._transport, self._queue
        if transport is None or transport.is_closing():
            return
        while queue and (response := queue[0].response) is not None:
            request = queue.popleft()
            if request.is_last:
                transport.write(responses.with_connection_close(response))
                self._close(transport)
                return
            transport.write(response)
        if self._is_reading_paused:
            self._pause_or_resume_reading()

    def enforce_time_limits(self, now: float) -> None:
        """End the connection if the client is too slow or idle for too long."""
        if self._transport is None:
            return
        age = now - self._since
        if self._write_paused_since is not None:
            if now - self._write_paused_since > WRITE_SECONDS:
                self._transport.abort()
        elif self._is_lingering:
            if age > LINGER_SECONDS:
                self._transport.abort()
        elif self._reader.request is not None:
            if age > REQUEST_SECONDS:
                message = f"The request did not arrive within {REQUEST_SECONDS:g} s."
                self._reader.reject(Refusal(408, "BAD_USER_INPUT", message))
        elif not self._queue and age > IDLE_SECONDS:
            self._transport.close()

    def finish(self) -> None:
        """Close once all requests are answered, the one that is being read included."""
        if self._reader.request is not None:
            self._reader.request.is_last = True
        else:
            self.end_input()

    def abort(self) -> None:
        """Close at once; pending responses are lost."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self, transport: asyncio.Transport) -> None:
        self._queue.clear()
        if self._is_lingering and transport.can_write_eof():
            self._since = self._connections.now
            transport.write_eof()
        else:
            transport.close()

    def _pause_or_resume_reading(self) -> None:
        """Read only while there is room for more requests and responses."""
        transport = self._transport
        pause = self._write_paused_since is not None or len(self._queue) >= MAX_PIPELINED
        if transport is None or transport.is_closing() or pause == self._is_reading_paused:
            return
        self._is_reading_paused = pause
        if pause:
            transport.pause_reading()
        else:
            transport.resume_reading()
