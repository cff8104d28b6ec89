"""One HTTP/1.1 connection: reads a request with httptools, then answers it or hands it over.

A WebSocket handshake and an event stream take over the transport, so that an open subscription
keeps nothing of its HTTP request.
"""

import asyncio
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import httptools
import structlog

from router.subscriptions.responses import error_response

log = structlog.stdlib.get_logger(__name__)

MAX_BODY = 64 * 1024
MAX_HEAD = 32 * 1024
"""Bytes of path and headers; Envoy lets pass no more."""

REQUEST_SECONDS = 30.0
"""How long a connection may take for its next request."""


class HttpRequest:
    """A complete request. Header names are lower-case; values are Latin-1."""

    def __init__(self) -> None:
        self.method = ""
        self.path = ""
        self.query = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_upgrade = False


class HttpConnection(asyncio.Protocol):
    """Reads requests one after the other; `handle` answers each with `respond` or takes over.

    Args:
        handle: is called with each complete request.
    """

    def __init__(self, handle: "Callable[[HttpConnection, HttpRequest], None]") -> None:
        self._handle = handle
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._size = 0
        self._request = HttpRequest()
        self._is_complete = False
        self._timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        """What works on the response; it is cancelled when the client leaves."""
        self.rest = b""
        """What followed the request of an upgrade."""

    def respond(self, response: bytes, *, close: bool = False) -> None:
        """Sends a complete response and reads the next request."""
        if self.transport is None:
            return
        self.transport.write(response)
        if close or not self._parser.should_keep_alive():
            self.transport.close()
            return
        self._is_complete = False
        self._start_timer()
        self.transport.resume_reading()

    def hand_over(self) -> asyncio.Transport | None:
        """Stops reading requests; returns the transport, which the caller gives a new protocol."""
        self._stop_timer()
        transport, self.transport = self.transport, None
        return transport

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._start_timer()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._stop_timer()
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_HEAD + 2 * MAX_BODY:
            self._refuse("The request is too large.")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.rest = data[upgrade.args[0] :]
            self._complete()
        except httptools.HttpParserError as error:
            self._refuse(f"The request is not valid HTTP: {error}")

    # Called by the parser.

    def on_message_begin(self) -> None:
        self._request, self._url = HttpRequest(), b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if len(self._request.body) <= MAX_BODY:  # one byte too many tells that it is too large
            self._request.body += body

    def on_message_complete(self) -> None:
        self._request.is_upgrade = self._parser.should_upgrade()
        if not self._request.is_upgrade:
            self._complete()

    def _complete(self) -> None:
        if self._is_complete or self.transport is None:
            return  # a second, pipelined request: clients wait for the response
        self._is_complete, self._size = True, 0
        self._stop_timer()
        self.transport.pause_reading()
        request = self._request
        request.is_upgrade = self._parser.should_upgrade()
        request.method = self._parser.get_method().decode("latin-1")
        parts = urlsplit(self._url.decode("latin-1"))
        request.path, request.query = parts.path, parts.query
        self._handle(self, request)

    def _refuse(self, message: str) -> None:
        if self.transport is not None and not self._is_complete:
            self.respond(error_response(400, message, "BAD_USER_INPUT"), close=True)

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(REQUEST_SECONDS, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        if self.transport is not None:
            self.transport.close()
