"""Parses the snippet's JSON: each event becomes an event of the stream or is rejected."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from subgraphs.kernel.identity.credentials import SiteAccess
from subgraphs.kernel.streams.envelope import Event

MAX_EVENTS = 100

MAX_AHEAD = timedelta(minutes=5)
"""How far a visitor's clock may be ahead of ours."""

MAX_AGE = timedelta(hours=24)
"""How late an event may arrive. Ids are stored for an hour longer, so that none counts twice."""

_SiteKey = Annotated[str, msgspec.Meta(max_length=100)]
_Short = Annotated[str, msgspec.Meta(max_length=100)]
_Page = Annotated[str, msgspec.Meta(max_length=2000)]
_Minor = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]

_CLAIM_TYPES = {name: f"claim.{name}" for name in ("shown", "clicked", "dismissed", "withheld")}

_NUL = b"\\u0000"
"""NUL as JSON writes it; PostgreSQL's text cannot hold it."""


class Reason(StrEnum):
    """Why one event of a request is rejected."""

    BAD_EVENT = "BAD_EVENT"
    CLOCK_SKEW = "CLOCK_SKEW"


class RejectedEvent(NamedTuple):
    """An event that is not appended; the other events of its request are."""

    id: str | None
    """None if it could not be parsed."""
    reason: Reason


class Sender(NamedTuple):
    """What a request's headers say about the visitor."""

    device: str
    bot: str | None
    """The `BotRule` that applies."""
    country: str | None
    """ISO 3166-1 alpha-2."""


class Value(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The monetary value of a goal."""

    amount_minor: _Minor
    currency: _Currency


class SnippetEvent(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """An event as the snippet sends it."""

    id: UUID
    type: Literal["shown", "clicked", "dismissed", "withheld", "page.viewed", "goal.reached"]
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    claim_id: UUID | None = None
    visitor_id: _Short | None = None
    page: _Page | None = None
    goal: _Short | None = None
    value: Value | None = None


class IngestRequest(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A parsed body; events that cannot be parsed are rejected already."""

    site_key: _SiteKey
    events: Sequence[SnippetEvent | RejectedEvent]


class _Body(IngestRequest, frozen=True, gc=False):
    events: Annotated[list[SnippetEvent], msgspec.Meta(max_length=MAX_EVENTS)]


class _LooseBody(msgspec.Struct, frozen=True, rename="camel"):
    site_key: _SiteKey
    events: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_EVENTS)]


class _WithId(msgspec.Struct):
    id: _Short | None = None


_body = msgspec.json.Decoder(_Body)
_loose_body = msgspec.json.Decoder(_LooseBody)
_event = msgspec.json.Decoder(SnippetEvent)
_with_id = msgspec.json.Decoder(_WithId)

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse_request(body: bytes | bytearray) -> IngestRequest:
    """Parse a body: in one pass if all of it is valid, as usual, and else event by event.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: the body is not JSON, has another
            shape, or has too many events.
    """
    if _NUL not in body:
        try:
            return _body.decode(body)
        except _DECODE_ERRORS:
            pass
    loose = _loose_body.decode(body)
    return IngestRequest(loose.site_key, [_parse_event(raw) for raw in loose.events])


def to_stream_event(
    event: SnippetEvent | RejectedEvent, *, site: SiteAccess, sender: Sender, now: datetime
) -> Event | RejectedEvent:
    """The event with its envelope for the stream, or the reason why it is rejected."""
    if isinstance(event, RejectedEvent):
        return event
    type_ = _CLAIM_TYPES.get(event.type)
    payload: dict[str, Any]
    if type_ is not None and event.claim_id is not None:
        payload = {"claimId": event.claim_id}
    elif event.type == "page.viewed":
        payload = {}
    elif event.type == "goal.reached" and event.goal:
        payload = {"goal": event.goal, "value": event.value}
    else:
        return RejectedEvent(str(event.id), Reason.BAD_EVENT)
    if not now - MAX_AGE <= event.occurred_at <= now + MAX_AHEAD:
        return RejectedEvent(str(event.id), Reason.CLOCK_SKEW)
    payload["page"] = event.page
    payload["device"] = sender.device
    payload["country"] = sender.country
    if sender.bot is not None:
        payload["bot"] = sender.bot
    return Event(
        id=event.id,
        site_id=site.site_id,
        account_id=site.account_id,
        type=type_ or event.type,
        occurred_at=event.occurred_at,
        captured_at=now,
        source="snippet",
        visitor_id=event.visitor_id,
        payload=payload,
    )


def _parse_event(raw: msgspec.Raw) -> SnippetEvent | RejectedEvent:
    try:
        event = _event.decode(raw)
    except _DECODE_ERRORS:
        return RejectedEvent(_id_of(raw), Reason.BAD_EVENT)
    texts = (event.visitor_id, event.page, event.goal)
    if any(text and "\0" in text for text in texts):
        return RejectedEvent(str(event.id), Reason.BAD_EVENT)
    return event


def _id_of(raw: msgspec.Raw) -> str | None:
    try:
        return _with_id.decode(raw).id
    except _DECODE_ERRORS:
        return None
