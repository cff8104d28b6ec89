"""What the snippet says, read and judged: each event becomes one of the stream's or is refused."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

import msgspec

from subgraphs.kernel.credentials import SiteAccess
from subgraphs.kernel.events import Event

MAX_EVENTS = 100

MAX_AHEAD = timedelta(minutes=5)
"""How far a visitor's clock may be before ours."""

MAX_AGE = timedelta(hours=24)
"""How late an event may come; ids are remembered for an hour longer, so none counts twice."""

# PostgreSQL's text holds no NUL.
_Short = Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^\x00]*\Z")]
_Page = Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*\Z")]


class Reason(StrEnum):
    """Why one event of a request is not taken."""

    BAD_EVENT = "BAD_EVENT"
    CLOCK_SKEW = "CLOCK_SKEW"


class Refused(NamedTuple):
    id: str | None
    """As far as it could be read."""
    reason: Reason


class Request(msgspec.Struct, frozen=True, rename="camel"):
    """A body; its events are judged one by one."""

    site_key: Annotated[str, msgspec.Meta(max_length=100)]
    events: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_EVENTS)]


class _SnippetEvent(msgspec.Struct, frozen=True, rename="camel"):
    id: UUID
    type: Literal["shown", "clicked", "dismissed", "page.viewed"]
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    claim_id: UUID | None = None
    visitor_id: _Short | None = None
    page: _Page | None = None


class _Named(msgspec.Struct):
    id: _Short | None = None


_request = msgspec.json.Decoder(Request)
_event = msgspec.json.Decoder(_SnippetEvent)
_named = msgspec.json.Decoder(_Named)


def read_request(body: bytes) -> Request:
    """Read a body.

    Raises:
        msgspec.DecodeError: it is not JSON, or not of this shape, or has too many events.
    """
    return _request.decode(body)


def judge(raw: msgspec.Raw, *, site: SiteAccess, now: datetime) -> Event | Refused:
    """One event as the stream takes it, or why it is not taken."""
    try:
        event = _event.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refused(_id_of(raw), Reason.BAD_EVENT)
    about_claim = event.type != "page.viewed"
    if about_claim and event.claim_id is None:
        return Refused(str(event.id), Reason.BAD_EVENT)
    if not now - MAX_AGE <= event.occurred_at <= now + MAX_AHEAD:
        return Refused(str(event.id), Reason.CLOCK_SKEW)
    return Event(
        id=event.id,
        site_id=site.site_id,
        account_id=site.account_id,
        type=f"claim.{event.type}" if about_claim else event.type,
        occurred_at=event.occurred_at,
        captured_at=now,
        source="snippet",
        visitor_id=event.visitor_id,
        payload={
            "claimId": str(event.claim_id) if about_claim else None,
            "page": event.page,
        },
    )


def _id_of(raw: msgspec.Raw) -> str | None:
    try:
        return _named.decode(raw).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
