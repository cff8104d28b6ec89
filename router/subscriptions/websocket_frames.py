"""WebSocket frames (RFC 6455) and the opening handshake, by the codec of `websockets`.

The codec is used without its connection object: an idle connection keeps no parser and no buffer.
"""

from collections.abc import Callable, Generator, Sequence

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

MAX_REASON_BYTES = 123
"""The WebSocket protocol's limit for a close reason."""

_ONE_BYTE_LENGTH, _TWO_BYTE_LENGTH = 126, 65_536
_FINAL_TEXT = 0x81


def accept(headers: Headers, select: Callable[[Sequence[str]], str | None]) -> Response:
    """Returns the response to an opening handshake: 101, or an error.

    Args:
        select: chooses among the subprotocols that the client offers.
    """

    def select_subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        chosen = select(offered)
        return None if chosen is None else Subprotocol(chosen)

    protocol = ServerProtocol(select_subprotocol=select_subprotocol)
    try:
        return protocol.accept(Request("/graphql", headers))
    except InvalidHandshake as error:  # pragma: no cover  (accept() answers all it knows)
        return protocol.reject(400, str(error))


def parse_frame(data: bytes, max_size: int) -> tuple[Frame, int] | None:
    """Returns a client's first frame and its length in `data`; None if it is incomplete.

    Raises:
        ProtocolError: the bytes are not a client's frame.
        PayloadTooBig: the frame's payload is longer than `max_size`.
    """
    position = 0

    def read_exact(count: int) -> Generator[None, None, bytes]:
        nonlocal position
        if len(data) - position < count:
            raise _Incomplete
        position += count
        return data[position - count : position]
        yield

    try:
        next(Frame.parse(read_exact, mask=True, max_size=max_size))
    except StopIteration as done:
        return done.value, position
    except _Incomplete:
        return None
    raise AssertionError("the frame's generator waits for nothing")


def text_header(length: int) -> bytes:
    """Returns the header of an unmasked, final text frame with so many bytes of payload."""
    if length < _ONE_BYTE_LENGTH:
        return bytes((_FINAL_TEXT, length))
    if length < _TWO_BYTE_LENGTH:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def text_frame(payload: bytes) -> bytes:
    """Returns a final text frame."""
    return text_header(len(payload)) + payload


def close_frame(code: int, reason: str) -> bytes:
    """Returns a close frame; the reason is cut to the protocol's limit."""
    short = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    return Frame(Opcode.CLOSE, Close(code, short).serialize()).serialize(mask=False)


def pong_frame(payload: bytes) -> bytes:
    """Returns the answer to a ping frame."""
    return Frame(Opcode.PONG, payload).serialize(mask=False)


PING_FRAME = Frame(Opcode.PING, b"").serialize(mask=False)


class _Incomplete(Exception):
    pass
