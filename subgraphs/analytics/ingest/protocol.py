"""HTTP/1.1 on one connection, as far as the door needs it, on httptools.

Requests may come pipelined and in any pieces; each answer goes out in its request's place. What is
too long is given up while it is read, and who went away is not written to.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

from subgraphs.analytics.ingest import responses
from subgraphs.analytics.ingest.responses import Refusal

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024
"""Bytes; a hundred events of the snippet fit with room to spare."""

MAX_HEAD = 16 * 1024
"""Bytes of address and headers; browsers and Envoy stay below 8 KiB."""

MAX_REQUEST = 8 * MAX_BODY
"""Bytes on the wire: the smallest of chunks are sixfold what they carry."""

MAX_PIPELINED = 32
"""Requests of one connection in hand; more are not read until some are answered."""

REQUEST_SECONDS = 10.0
"""How long a request may take to arrive: the snippet's are a packet or two."""

IDLE_SECONDS = 75.0
"""How long a connection is kept for its next request."""

WRITE_SECONDS = 10.0
"""How long a client may leave its answers unread."""

LINGER_SECONDS = 2.0
"""How long a refused client may go on sending: a reset at once could cost it the answer."""

_WANTED = frozenset({b"origin", b"user-agent", b"cf-ipcountry", b"content-length", b"expect"})


class Request:
    """A request, to be answered once."""

    __slots__ = (
        "_connection",
        "agent",
        "answered",
        "body",
        "country",
        "is_last",
        "method",
        "origin",
        "target",
    )

    def __init__(self, connection: "Connection", target: bytes) -> None:
        self._connection = connection
        self.target = target
        self.method = b""
        self.origin: bytes | None = None
        self.agent = self.country = b""
        self.body: bytes | bytearray = b""
        self.is_last = False
        self.answered: bytes | None = None

    def let_go(self) -> None:
        """Of what has been read. Hundreds wait for the disk at a time, and memory that is used
        again at once is in the processor's cache."""
        self.agent = self.country = self.body = b""

    def answer(self, data: bytes) -> None:
        """Send this in the request's turn; if the client has gone, nobody hears it."""
        self.answered = data
        self._connection.flush()


@dataclass
class Connections:
    """The open connections of a server, and what they share.

    Attributes:
        handle: is given each request that has come in whole.
        now: seconds of the loop, as of the last look; the time limits need no better.
    """

    handle: Callable[[Request], None]
    now: float = 0.0
    open: set["Connection"] = field(default_factory=set)
    none_left: asyncio.Event = field(default_factory=asyncio.Event)

    def lose(self, connection: "Connection") -> None:
        """It has ended."""
        self.open.discard(connection)
        if not self.open:
            self.none_left.set()

    def look(self, now: float) -> None:
        """End the connections that take too long."""
        self.now = now
        for connection in tuple(self.open):
            connection.look(now)


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._handle = connections.handle
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[Request] = deque()
        self._request: Request | None = None
        self._headers: dict[bytes, bytes] = {}
        self._in_body = False
        self._fed = 0
        self._since = connections.now
        self._paused_since: float | None = None
        self._is_held = False
        self._has_ended = False  # no further request is read
        self._is_lingering = False

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.open.add(self)
        self._connections.none_left.clear()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._has_ended = True
        self._request = None
        self._queue.clear()
        self._connections.lose(self)

    def data_received(self, data: bytes) -> None:
        if len(data) <= MAX_HEAD:
            self._feed(data)
        else:  # so that a head's length shows before it is taken in
            for start in range(0, len(data), MAX_HEAD):
                self._feed(data[start : start + MAX_HEAD])

    def eof_received(self) -> bool:
        """The client says no more; what it has asked is still answered."""
        self._end_input()
        return bool(self._queue)

    def pause_writing(self) -> None:
        self._paused_since = self._connections.now
        self._hold_or_release()

    def resume_writing(self) -> None:
        self._paused_since = None
        self._hold_or_release()

    # From the parser.

    def on_url(self, url: bytes) -> None:
        if self._request is not None:
            self._request.target += url
        elif not self._has_ended:
            self._request = Request(self, url)
            self._headers.clear()
            self._since = self._connections.now

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _WANTED:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._fed = 0
        request, parser, headers = self._request, self._parser, self._headers
        if request is None:
            return
        request.method = parser.get_method()
        request.origin = headers.get(b"origin")
        request.agent = headers.get(b"user-agent", b"")
        request.country = headers.get(b"cf-ipcountry", b"")
        if not parser.should_keep_alive():
            request.is_last = True
        if int(headers.get(b"content-length", b"0")) > MAX_BODY:
            self._give_up(_too_long())
        elif b"expect" in headers:
            self._say_continue()

    def on_body(self, body: bytes) -> None:
        request = self._request
        if request is None:
            return
        if not request.body:
            request.body = body
        else:
            if isinstance(request.body, bytes):
                request.body = bytearray(request.body)
            request.body += body
        if len(request.body) > MAX_BODY:
            self._give_up(_too_long())

    def on_message_complete(self) -> None:
        request = self._request
        self._in_body = False
        self._fed = 0
        if request is None:
            return
        self._request = None
        self._has_ended = request.is_last
        self._queue.append(request)
        self._handle(request)
        if len(self._queue) >= MAX_PIPELINED:
            self._hold_or_release()

    # From those who answer and those who keep the time.

    def flush(self) -> None:
        """Send the answers whose turn it is."""
        transport, queue = self._transport, self._queue
        if transport is None or transport.is_closing():
            return
        while queue and (data := queue[0].answered) is not None:
            request = queue.popleft()
            if request.is_last:
                transport.write(responses.saying_close(data))
                self._close(transport)
                return
            transport.write(data)
        if self._is_held:
            self._hold_or_release()

    def look(self, now: float) -> None:
        """Judge how long this has taken."""
        if self._transport is None:
            return
        age = now - self._since
        if self._paused_since is not None:
            if now - self._paused_since > WRITE_SECONDS:
                self._transport.abort()
        elif self._is_lingering:
            if age > LINGER_SECONDS:
                self._transport.abort()
        elif self._request is not None:
            if age > REQUEST_SECONDS:
                self._give_up(Refusal(408, "BAD_USER_INPUT", "The request took too long."))
        elif not self._queue and age > IDLE_SECONDS:
            self._transport.close()

    def finish(self) -> None:
        """Close once the requests in hand are answered, that which is being read among them."""
        if self._request is not None:
            self._request.is_last = True
        else:
            self._end_input()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Its own.

    def _feed(self, data: bytes) -> None:
        if self._has_ended:
            return
        before = self._request
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # not offered: it was answered like any other
            self._end_input()
        except httptools.HttpParserError as error:
            self._give_up(Refusal(400, "BAD_USER_INPUT", f"This is not HTTP/1.1: {error}"))
        if self._request is not None and self._request is before:
            self._count(len(data))

    def _count(self, size: int) -> None:
        """Add up what a request consists of; the pieces it begins and ends in come free."""
        self._fed += size
        if self._in_body and self._fed > MAX_REQUEST:
            self._give_up(_too_long())
        elif not self._in_body and self._fed > MAX_HEAD:
            message = f"Address and headers may have {MAX_HEAD} bytes."
            self._give_up(Refusal(431, "BAD_USER_INPUT", message))

    def _say_continue(self) -> None:
        """In its turn as well: the answers before it come first."""
        interim = Request(self, b"")
        self._queue.append(interim)
        interim.answer(responses.CONTINUE)

    def _give_up(self, refusal: Refusal) -> None:
        """Answer this request, or what should have been one, and read no further."""
        request = self._request or Request(self, b"")
        self._request = None
        self._has_ended = True
        self._is_lingering = True
        self._since = self._connections.now
        request.is_last = True
        self._queue.append(request)
        request.answer(refusal.encode(request.origin))

    def _end_input(self) -> None:
        self._request = None
        self._has_ended = True
        if self._queue:
            self._queue[-1].is_last = True
        elif self._transport is not None and not self._is_lingering:
            self._transport.close()

    def _close(self, transport: asyncio.Transport) -> None:
        self._queue.clear()
        if self._is_lingering and transport.can_write_eof():
            self._since = self._connections.now
            transport.write_eof()
        else:
            transport.close()

    def _hold_or_release(self) -> None:
        """Read on only while there is room for what it leads to."""
        transport = self._transport
        hold = self._paused_since is not None or len(self._queue) >= MAX_PIPELINED
        if transport is None or transport.is_closing() or hold == self._is_held:
            return
        self._is_held = hold
        if hold:
            transport.pause_reading()
        else:
            transport.resume_reading()


def _too_long() -> Refusal:
    return Refusal(413, "BAD_USER_INPUT", f"A body may have {MAX_BODY} bytes.")
