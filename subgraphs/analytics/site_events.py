"""What happened at a site, newest first: facts from outside and what became of claims, merged.

A page is found by keyset: both tables are read backwards along their primary keys from the place
where the page before ended, so the hundredth page costs what the first one does.
"""

import base64
import binascii
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import query_range
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.graphql.paging import MAX_PAGE
from subgraphs.kernel.text import can_be_stored

CLAIM_PREFIX = "claim."
"""Of the types of what became of claims: the ledger's `shown` is `claim.shown` to the world."""

MAX_TYPES = 20

LOOKS_BACK = timedelta(days=31)
"""How far a search by type or visitor goes that names no `since`. No index of `events` knows them,
so one that finds little would read all that a site ever had."""

_MAX_TEXT = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_BYTES = 8
_ID_BYTES = 16


class Place(NamedTuple):
    """Where in the order of things something stands."""

    time: datetime
    id: UUID
    event_type: str


class Filter(NamedTuple):
    """Which of what happened is asked for; None leaves a thing open."""

    types: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    claim_id: UUID | None = None
    notification_id: UUID | None = None
    visitor_id: str | None = None


class Asked(NamedTuple):
    """A page of it; hashable, so that it can be part of a loader's key."""

    first: int
    after: Place | None
    filter: Filter


class Entry(NamedTuple):
    """One thing that happened; a row of `source_events` or of `notification_events`."""

    site_id: UUID
    about_claim: bool
    time: datetime
    id: UUID
    event_type: str
    captured_at: datetime
    visitor_id: str | None
    source: str | None
    payload: dict[str, Any] | None
    claim_id: UUID | None
    notification_id: UUID | None
    page: str | None
    arm: str | None
    revenue_minor: int | None
    currency: str | None

    @property
    def place(self) -> Place:
        return Place(self.time, self.id, self.event_type)


class Page(NamedTuple):
    entries: list[Entry]
    has_next: bool


def asked(first: int, after: str | None, wanted: Filter) -> Asked:
    """Check what is asked for.

    Raises:
        BadUserInput: `first` out of 1..100, a cursor that none of our pages gave, a time without
            an offset or out of bounds, too many types, or text that nothing can have.
    """
    if not 1 <= first <= MAX_PAGE:
        raise BadUserInput(f"`first` must be between 1 and {MAX_PAGE}.")
    for name in ("since", "until"):
        moment = getattr(wanted, name)
        if moment is not None:
            query_range.check(moment, name)
    if wanted.since and wanted.until and wanted.until <= wanted.since:
        raise BadUserInput("`until` must be after `since`.")
    if wanted.types is not None and not 1 <= len(wanted.types) <= MAX_TYPES:
        raise BadUserInput(f"`types` names 1 to {MAX_TYPES} types.")
    texts = [*(wanted.types or ()), wanted.visitor_id or ""]
    if not all(map(can_have, texts)):
        raise BadUserInput(f"A type and a visitor's id have up to {_MAX_TEXT} characters.")
    return Asked(first, from_cursor(after) if after is not None else None, wanted)


def can_have(text: str) -> bool:
    """Whether something that happened can have this type, or be of a visitor with this id."""
    return len(text) <= _MAX_TEXT and can_be_stored(text)


async def pages(
    session: AsyncSession, site_ids: Collection[UUID], asked: Asked
) -> Mapping[UUID, Page]:
    """The same page of each site's history, in one statement."""
    asked = _bounded(asked, datetime.now(UTC))
    found: dict[UUID, list[Entry]] = {site_id: [] for site_id in site_ids}
    values = _values(asked)
    if branches := _branches(asked):
        values["sites"] = list(site_ids)
        for row in await session.execute(_statement(branches), values):
            found[row.site_id].append(Entry(*row))
    first = asked.first
    return {id_: Page(rows[:first], len(rows) > first) for id_, rows in found.items()}


def to_cursor(place: Place) -> str:
    micros = (place.time - _EPOCH) // timedelta(microseconds=1)
    packed = micros.to_bytes(_TIME_BYTES, "big", signed=True) + place.id.bytes
    return base64.urlsafe_b64encode(packed + place.event_type.encode()).rstrip(b"=").decode()


def from_cursor(cursor: str) -> Place:
    """A place that `to_cursor` wrote down.

    Raises:
        BadUserInput: it did not.
    """
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        micros = int.from_bytes(packed[:_TIME_BYTES], "big", signed=True)
        rest = packed[_TIME_BYTES:]
        place = Place(
            _EPOCH + timedelta(microseconds=micros),
            UUID(bytes=rest[:_ID_BYTES]),
            rest[_ID_BYTES:].decode(),
        )
    except (ValueError, binascii.Error, OverflowError) as error:
        raise BadUserInput("`after` is not a cursor of this list.") from error
    if not place.event_type or not can_be_stored(place.event_type):
        raise BadUserInput("`after` is not a cursor of this list.")
    return place


_FACTS = """
    SELECT false AS about_claim, time, id, event_type, captured_at, visitor_id, source, payload,
           CAST(NULL AS uuid) AS claim_id, CAST(NULL AS uuid) AS notification_id,
           CAST(NULL AS text) AS page, CAST(NULL AS text) AS arm,
           CAST(NULL AS bigint) AS revenue_minor, CAST(NULL AS text) AS currency
    FROM source_events_before(
        site.id, CAST(:most AS integer), CAST(:at AS timestamptz), CAST(:after_id AS uuid),
        CAST(:after_type AS text), CAST(:since AS timestamptz), CAST(:until AS timestamptz),
        CAST(:fact_types AS text[]), CAST(:visitor_id AS text))"""

_CLAIMS = """
    SELECT true AS about_claim, created_at AS time, id, event_type, captured_at, visitor_id,
           CAST(NULL AS text) AS source, CAST(NULL AS jsonb) AS payload, claim_id, notification_id,
           page, arm, revenue_minor, currency
    FROM notification_events WHERE {where}
    ORDER BY created_at DESC, id DESC, event_type DESC LIMIT :most"""

_MERGED = """
    SELECT site.id AS site_id, happened.*
    FROM unnest(CAST(:sites AS uuid[])) AS site (id)
    CROSS JOIN LATERAL (
        SELECT * FROM ({branches}) AS merged
        ORDER BY time DESC, id DESC, event_type DESC LIMIT :most
    ) happened
    ORDER BY time DESC, happened.id DESC, event_type DESC"""


def _statement(branches: list[str]) -> TextClause:
    return text(_MERGED.format(branches=" UNION ALL ".join(f"({it})" for it in branches)))


def _bounded(asked: Asked, now: datetime) -> Asked:
    """With a beginning, where nothing but its end would stop the search."""
    wanted = asked.filter
    is_search = wanted.types is not None or wanted.visitor_id is not None
    if wanted.since or not is_search or wanted.claim_id or wanted.notification_id:
        return asked
    end = min(wanted.until or now, now)
    return asked._replace(filter=wanted._replace(since=end - LOOKS_BACK))


def _branches(asked: Asked) -> list[str]:
    """The tables that can have any of it."""
    facts, claims = _types(asked.filter)
    branches = []
    if facts != [] and asked.filter.claim_id is None and asked.filter.notification_id is None:
        branches.append(_FACTS)
    if claims != []:
        branches.append(_CLAIMS.format(where=" AND ".join(_conditions(asked, claims))))
    return branches


def _conditions(asked: Asked, types: list[str] | None) -> list[str]:
    """Only those that are asked for, or the planner would have to expect them all."""
    wanted = asked.filter
    where = ["site_id = site.id"]
    where += ["created_at >= :since"] if wanted.since else []
    where += ["created_at < :until"] if wanted.until else []
    if asked.after:
        # The first condition says nothing new, but it alone lets partitions be left out.
        where.append("created_at <= :at")
        where.append("(created_at, id, event_type) < (:at, :after_id, :after_type)")
    where += ["event_type = ANY (:claim_types)"] if types else []
    where += ["claim_id = :claim_id"] if wanted.claim_id else []
    where += ["notification_id = :notification_id"] if wanted.notification_id else []
    where += ["visitor_id = :visitor_id"] if wanted.visitor_id is not None else []
    return where


def _types(wanted: Filter) -> tuple[list[str] | None, list[str] | None]:
    """The types of facts and those of what became of claims, as the tables write them."""
    if wanted.types is None:
        return None, None
    claims = [it.removeprefix(CLAIM_PREFIX) for it in wanted.types if it.startswith(CLAIM_PREFIX)]
    return [it for it in wanted.types if not it.startswith(CLAIM_PREFIX)], claims


def _values(asked: Asked) -> dict[str, Any]:
    facts, claims = _types(asked.filter)
    at, after_id, after_type = asked.after or (None, None, None)
    return {
        "most": asked.first + 1,
        "since": asked.filter.since,
        "until": asked.filter.until,
        "at": at,
        "after_id": after_id,
        "after_type": after_type,
        "fact_types": facts,
        "claim_types": claims,
        "claim_id": asked.filter.claim_id,
        "notification_id": asked.filter.notification_id,
        "visitor_id": asked.filter.visitor_id,
    }
