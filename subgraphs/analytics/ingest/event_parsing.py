"""What the snippet says, read and judged: each event becomes one of the stream's or is refused."""

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
"""How far a visitor's clock may be before ours."""

MAX_AGE = timedelta(hours=24)
"""How late an event may come; ids are remembered for an hour longer, so none counts twice."""

_SiteKey = Annotated[str, msgspec.Meta(max_length=100)]
_Short = Annotated[str, msgspec.Meta(max_length=100)]
_Page = Annotated[str, msgspec.Meta(max_length=2000)]
_Minor = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]

_CLAIM_TYPES = {name: f"claim.{name}" for name in ("shown", "clicked", "dismissed", "withheld")}

_NUL = b"\\u0000"
"""As JSON writes it; PostgreSQL's text holds none."""


class Reason(StrEnum):
    """Why one event of a request is not taken."""

    BAD_EVENT = "BAD_EVENT"
    CLOCK_SKEW = "CLOCK_SKEW"


class Refused(NamedTuple):
    id: str | None
    """As far as it could be read."""
    reason: Reason


class Sender(NamedTuple):
    """What a request's headers tell of who sends it."""

    device: str
    bot: str | None
    """The rule by which it is a machine."""
    country: str | None
    """Two letters."""


class Value(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """What reaching a goal was worth."""

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


class Request(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A body; an event that could not be read is refused already."""

    site_key: _SiteKey
    events: Sequence[SnippetEvent | Refused]


class _Body(Request, frozen=True, gc=False):
    events: Annotated[list[SnippetEvent], msgspec.Meta(max_length=MAX_EVENTS)]


class _LooseBody(msgspec.Struct, frozen=True, rename="camel"):
    site_key: _SiteKey
    events: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_EVENTS)]


class _Named(msgspec.Struct):
    id: _Short | None = None


_body = msgspec.json.Decoder(_Body)
_loose_body = msgspec.json.Decoder(_LooseBody)
_event = msgspec.json.Decoder(SnippetEvent)
_named = msgspec.json.Decoder(_Named)

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_request(body: bytes | bytearray) -> Request:
    """Read a body: in one go if all of it is well formed, as it nearly always is.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not JSON, or not of this
            shape, or has too many events.
    """
    if _NUL not in body:
        try:
            return _body.decode(body)
        except _UNREADABLE:
            pass
    loose = _loose_body.decode(body)
    return Request(loose.site_key, [_read_event(raw) for raw in loose.events])


def judge(
    event: SnippetEvent | Refused, *, site: SiteAccess, sender: Sender, now: datetime
) -> Event | Refused:
    """One event as the stream takes it, or why it is not taken."""
    if isinstance(event, Refused):
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
        return Refused(str(event.id), Reason.BAD_EVENT)
    if not now - MAX_AGE <= event.occurred_at <= now + MAX_AHEAD:
        return Refused(str(event.id), Reason.CLOCK_SKEW)
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


def _read_event(raw: msgspec.Raw) -> SnippetEvent | Refused:
    try:
        event = _event.decode(raw)
    except _UNREADABLE:
        return Refused(_id_of(raw), Reason.BAD_EVENT)
    texts = (event.visitor_id, event.page, event.goal)
    if any(text and "\0" in text for text in texts):
        return Refused(str(event.id), Reason.BAD_EVENT)
    return event


def _id_of(raw: msgspec.Raw) -> str | None:
    try:
        return _named.decode(raw).id
    except _UNREADABLE:
        return None
