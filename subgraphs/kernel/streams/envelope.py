"""The event envelope: the one format of every message on the event stream."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

EVENTS_TOPIC = "events"

LEDGER_GROUP = "ledger"
"""The consumer group that writes events to the ledger. The ingest endpoint reads its lag."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with a UTC offset. Decoding refuses a time without one."""


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A source event (`order.created`) or a notification event (`claim.shown`).

    `occurred_at` is when it happened, `captured_at` when Proofgraph received it. Both carry a UTC
    offset. Consumers deduplicate by `id`.
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
"""Encodes an event as JSON."""


def decode(data: bytes) -> Event:
    """Returns the event that was encoded as JSON.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError: the data is not an event envelope.
    """
    return _decoder.decode(data)
