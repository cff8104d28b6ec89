"""Reads the requests of one connection with httptools, and enforces the size limits.

Requests may arrive pipelined and in pieces of any size. A request that is too large is rejected
while it is read.
"""

from typing import Protocol

import httptools

from subgraphs.analytics.ingest.http_request import HttpRequest, ResponseQueue
from subgraphs.analytics.ingest.responses import Refusal

MAX_BODY = 64 * 1024
"""Bytes; a hundred events of the snippet fit with room to spare."""

MAX_HEAD = 16 * 1024
"""Bytes of address and headers; browsers and Envoy stay below 8 KiB."""

MAX_REQUEST = 8 * MAX_BODY
"""Bytes on the wire: the smallest chunks are six times as long as what they carry."""

_HEADERS = frozenset({b"origin", b"user-agent", b"cf-ipcountry", b"content-length", b"expect"})
"""The headers that are kept."""


class RequestHandler(ResponseQueue, Protocol):
    """What the reader calls: the connection."""

    def start_request(self) -> None:
        """A new request begins."""

    def receive(self, request: HttpRequest) -> None:
        """A request is complete."""

    def reject(self, request: HttpRequest, refusal: Refusal) -> None:
        """This request is refused and no further request is read."""

    def send_continue(self) -> None:
        """The client waits for `100 Continue` before it sends the body."""

    def end_input(self) -> None:
        """No further request is read."""


class RequestReader:
    """Parses bytes and hands complete requests to the connection.

    Attributes:
        request: the request that is being read.
        is_closed: whether no further request is read.
    """

    def __init__(self, connection: RequestHandler) -> None:
        self._connection = connection
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._in_body = False
        self._fed = 0
        self.request: HttpRequest | None = None
        self.is_closed = False

    def feed(self, data: bytes) -> None:
        """Parse the next bytes."""
        if len(data) <= MAX_HEAD:
            self._feed(data)
        else:  # in pieces, so that an overlong head is rejected before all of it is stored
            for start in range(0, len(data), MAX_HEAD):
                self._feed(data[start : start + MAX_HEAD])

    def close(self) -> None:
        """Read no further; a request that is incomplete is lost."""
        self.request = None
        self.is_closed = True

    def reject(self, refusal: Refusal) -> None:
        """Refuse the request that is being read, or what could not be parsed, and close."""
        request = self.request or HttpRequest(self._connection, b"")
        self.close()
        self._connection.reject(request, refusal)

    # Called by the parser.

    def on_url(self, url: bytes) -> None:
        if self.request is not None:
            self.request.target += url
        elif not self.is_closed:
            self.request = HttpRequest(self._connection, url)
            self._headers.clear()
            self._connection.start_request()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _HEADERS:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._fed = 0
        request, parser, headers = self.request, self._parser, self._headers
        if request is None:
            return
        request.method = parser.get_method()
        request.origin = headers.get(b"origin")
        request.agent = headers.get(b"user-agent", b"")
        request.country = headers.get(b"cf-ipcountry", b"")
        if not parser.should_keep_alive():
            request.is_last = True
        if int(headers.get(b"content-length", b"0")) > MAX_BODY:
            self.reject(_body_too_large())
        elif b"expect" in headers:
            self._connection.send_continue()

    def on_body(self, body: bytes) -> None:
        request = self.request
        if request is None:
            return
        if not request.body:
            request.body = body
        else:
            if isinstance(request.body, bytes):
                request.body = bytearray(request.body)
            request.body += body
        if len(request.body) > MAX_BODY:
            self.reject(_body_too_large())

    def on_message_complete(self) -> None:
        request = self.request
        self._in_body = False
        self._fed = 0
        if request is None:
            return
        self.request = None
        self.is_closed = request.is_last
        self._connection.receive(request)

    def _feed(self, data: bytes) -> None:
        if self.is_closed:
            return
        before = self.request
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # not supported: the request was answered as usual
            self._connection.end_input()
        except httptools.HttpParserError as error:
            message = f"The request must be HTTP/1.1, and it is not: {error}"
            self.reject(Refusal(400, "BAD_USER_INPUT", message))
        if self.request is not None and self.request is before:
            self._count(len(data))

    def _count(self, size: int) -> None:
        """Add up the size of a request; its first and last piece are not counted."""
        self._fed += size
        if self._in_body and self._fed > MAX_REQUEST:
            self.reject(_body_too_large())
        elif not self._in_body and self._fed > MAX_HEAD:
            message = f"Address and headers may have at most {MAX_HEAD} bytes."
            self.reject(Refusal(431, "BAD_USER_INPUT", message))


def _body_too_large() -> Refusal:
    message = f"The body may have at most {MAX_BODY} bytes; send fewer events at a time."
    return Refusal(413, "BAD_USER_INPUT", message)
