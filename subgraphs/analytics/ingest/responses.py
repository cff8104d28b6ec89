"""The responses of the ingest endpoint as HTTP/1.1 bytes."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

_encode = msgspec.json.Encoder().encode

_ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\n"
    b'content-length: %d\r\n%b\r\n{"results":%b}'
)
_AROUND_RESULTS = len('{"results":}')

_EACH_ACCEPTED = '","status":"accepted","reason":null},{"id":"'
_ALL_ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\n"
    b'content-length: %d\r\n%b\r\n{"results":[{"id":"%b","status":"accepted","reason":null}]}'
)
_AROUND_ACCEPTED = len('{"results":[{"id":"","status":"accepted","reason":null}]}')

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_PREFLIGHT = {
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "content-type",
    "access-control-max-age": "86400",
}


class Result(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one event: `accepted`, `duplicate`, or `refused` with a reason."""

    id: str | None
    status: str
    reason: str | None = None


class Refusal(Exception):
    """An error response instead of the 202.

    Attributes:
        headers: further response headers, such as how long to wait.
        rate_limited_site: the site whose rate limit is exceeded, if that is the cause.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        rate_limited_site: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.rate_limited_site = rate_limited_site

    def encode(self, origin: bytes | None) -> bytes:
        """The response as bytes; `origin` is the page's."""
        body = _encode({"error": {"code": self.code, "message": str(self)}})
        headers = {"content-type": "application/json", **self.headers}
        return encode(self.status, body, headers, origin)


def accepted(results: list[Result], origin: bytes | None) -> bytes:
    """The 202 with one result per event."""
    body = _encode(results)
    return _ACCEPTED % (len(body) + _AROUND_RESULTS, cors(origin), body)


def all_accepted(ids: list[str], origin: bytes | None) -> bytes:
    """The 202 of the usual case: every event is new. Joining strings is faster than encoding."""
    body = _EACH_ACCEPTED.join(ids).encode()
    length = _AROUND_ACCEPTED + len(body)
    return _ALL_ACCEPTED % (length, cors(origin), body)


def preflight(origin: bytes | None) -> bytes:
    """The response to a CORS preflight."""
    return encode(204, b"", _PREFLIGHT, origin)


def encode(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, origin: bytes | None = None
) -> bytes:
    """A response with any status; the body is bytes of any type."""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    for name, value in (headers or {}).items():
        head += f"{name}: {value}\r\n"
    if status != HTTPStatus.NO_CONTENT:
        head += f"content-length: {len(body)}\r\n"
    return head.encode() + cors(origin) + b"\r\n" + body


def cors(origin: bytes | None) -> bytes:
    """The CORS headers. Any page may read the response; the site's domain decides on its events."""
    if origin is None:
        return b""
    return b"access-control-allow-origin: %b\r\nvary: origin\r\n" % origin


def without_body(response: bytes) -> bytes:
    """The response to a HEAD request."""
    head, end, _ = response.partition(b"\r\n\r\n")
    return head + end


def with_connection_close(response: bytes) -> bytes:
    """The same response as the last one of its connection."""
    return response.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
