"""What the door says, as the bytes of an HTTP/1.1 answer."""

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
    """What became of one event."""

    id: str | None
    status: str
    reason: str | None = None


class Refusal(Exception):
    """A request that is not answered 202, and what it is answered.

    Attributes:
        headers: what the answer says besides, as how long to wait.
        too_much_of: the site that sends too much, if that is what is wrong.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        too_much_of: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.too_much_of = too_much_of

    def encode(self, origin: bytes | None) -> bytes:
        body = _encode({"error": {"code": self.code, "message": str(self)}})
        headers = {"content-type": "application/json", **self.headers}
        return encode(self.status, body, headers, origin)


def accepted(results: list[Result], origin: bytes | None) -> bytes:
    """The 202."""
    body = _encode(results)
    return _ACCEPTED % (len(body) + _AROUND_RESULTS, cors(origin), body)


def all_accepted(ids: list[str], origin: bytes | None) -> bytes:
    """The 202 as it nearly always is: every event was new."""
    body = _EACH_ACCEPTED.join(ids).encode()
    length = _AROUND_ACCEPTED + len(body)
    return _ALL_ACCEPTED % (length, cors(origin), body)


def preflight(origin: bytes | None) -> bytes:
    return encode(204, b"", _PREFLIGHT, origin)


def encode(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, origin: bytes | None = None
) -> bytes:
    """Any answer."""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    for name, value in (headers or {}).items():
        head += f"{name}: {value}\r\n"
    if status != HTTPStatus.NO_CONTENT:
        head += f"content-length: {len(body)}\r\n"
    return head.encode() + cors(origin) + b"\r\n" + body


def cors(origin: bytes | None) -> bytes:
    """Any page may read the answer; whether its events are taken, the site's domain decides."""
    if origin is None:
        return b""
    return b"access-control-allow-origin: %b\r\nvary: origin\r\n" % origin


def without_body(answer: bytes) -> bytes:
    """As HEAD wants it."""
    head, end, _ = answer.partition(b"\r\n\r\n")
    return head + end


def saying_close(answer: bytes) -> bytes:
    """The same answer as the last of its connection."""
    return answer.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
