"""The one envelope of everything that travels on the event stream."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

EVENTS_TOPIC = "events"

LEDGER_GROUP = "ledger"
"""The group of consumers that writes the events down; the door looks how far behind it is."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with an offset; one without is refused when the envelope is read."""


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A fact: from outside (`order.created`) or about a claim (`claim.shown`).

    `occurred_at` is when it happened in the world, `captured_at` when it reached us; they differ.
    Both carry an offset. `id` decides whether an effect was already had.
    """

    id: UUID
    site_id: UUID
    account_id: UUID
    type: str
    occurred_at: Moment
    captured_at: Moment
    source: str
    visitor_id: str | None = None
    payload: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(Event)

encode: Callable[[Event], bytes] = msgspec.json.Encoder().encode
"""Write an envelope."""


def decode(data: bytes) -> Event:
    """Read an envelope.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError: it is not one.
    """
    return _decoder.decode(data)
