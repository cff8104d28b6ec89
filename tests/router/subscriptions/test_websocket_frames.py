"""The frames that clients send and get, against the client side of `websockets`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from router.subscriptions.websocket_frames import (
    MAX_REASON_BYTES,
    close_frame,
    parse_frame,
    text_frame,
)

MAX_SIZE = 70_000
payloads = st.integers(0, 300).map(lambda size: b"x" * size) | st.sampled_from(
    [b"x" * size for size in (125, 126, 65_535, 65_536)]
)


def received(data: bytes) -> list[Frame]:
    """Returns the frames that a client reads."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    client.receive_data(data)
    return [event for event in client.events_received() if isinstance(event, Frame)]


@given(payloads, payloads)
def test_a_client_reads_what_is_written(one: bytes, two: bytes) -> None:
    frames = received(text_frame(one) + text_frame(two))
    assert [(frame.opcode, frame.data) for frame in frames] == [
        (Opcode.TEXT, one),
        (Opcode.TEXT, two),
    ]


@given(payloads, st.integers(0, 20))
def test_a_clients_frame_is_read_once_it_is_complete(payload: bytes, missing: int) -> None:
    sent = Frame(Opcode.TEXT, payload).serialize(mask=True)

    found = parse_frame(sent + b"next", MAX_SIZE)

    assert found is not None
    assert (found[0].data, found[1]) == (payload, len(sent))
    if missing:
        assert parse_frame(sent[:-missing], MAX_SIZE) is None


def test_invalid_frames_are_errors() -> None:
    with pytest.raises(ProtocolError, match="masking"):
        parse_frame(Frame(Opcode.TEXT, b"x").serialize(mask=False), MAX_SIZE)
    with pytest.raises(ProtocolError):
        parse_frame(b"\x8f\x80\x00\x00\x00\x00", MAX_SIZE)
    too_long = Frame(Opcode.TEXT, b"x" * (MAX_SIZE + 1)).serialize(mask=True)
    with pytest.raises(PayloadTooBig):
        parse_frame(too_long[:20], MAX_SIZE)  # before the payload has arrived


def test_a_close_reason_is_cut_between_characters() -> None:
    (frame,) = received(close_frame(4400, "ø" * 100))
    close = Close.parse(bytes(frame.data))
    assert close == Close(4400, "ø" * (MAX_REASON_BYTES // 2))
