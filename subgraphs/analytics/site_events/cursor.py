"""Positions in the list of a site's events, and their cursors."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.text import can_be_stored

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_BYTES = 8
_ID_BYTES = 16


class Position(NamedTuple):
    """The sort key of an event."""

    time: datetime
    id: UUID
    event_type: str


def to_cursor(position: Position) -> str:
    """The position as URL-safe base64: microseconds since 1970, the ID, the event type."""
    micros = (position.time - _EPOCH) // timedelta(microseconds=1)
    packed = micros.to_bytes(_TIME_BYTES, "big", signed=True) + position.id.bytes
    return base64.urlsafe_b64encode(packed + position.event_type.encode()).rstrip(b"=").decode()


def from_cursor(cursor: str) -> Position:
    """The position of a cursor.

    Raises:
        BadUserInput: `to_cursor` did not make this cursor.
    """
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        micros = int.from_bytes(packed[:_TIME_BYTES], "big", signed=True)
        rest = packed[_TIME_BYTES:]
        position = Position(
            _EPOCH + timedelta(microseconds=micros),
            UUID(bytes=rest[:_ID_BYTES]),
            rest[_ID_BYTES:].decode(),
        )
    except (ValueError, binascii.Error, OverflowError) as error:
        raise BadUserInput("`after` is not a cursor of this list.") from error
    if not position.event_type or not can_be_stored(position.event_type):
        raise BadUserInput("`after` is not a cursor of this list.")
    return position
