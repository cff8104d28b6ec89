"""Which events of a site are requested."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from subgraphs.analytics import query_range
from subgraphs.analytics.site_events.cursor import Position, from_cursor
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.graphql.paging import check_first
from subgraphs.kernel.text import can_be_stored

CLAIM_PREFIX = "claim."
"""Precedes the types of notification events in the API: the ledger's `shown` is `claim.shown`."""

MAX_TYPES = 20

MAX_TEXT = 100
"""The characters of an event type or a visitor ID."""

DEFAULT_SEARCH = timedelta(days=31)
"""The range of a search by type or visitor without `since`. No index of `events` has these columns,
so a search with few matches would read all events of the site."""


class EventFilter(NamedTuple):
    """Conditions on events; None sets no condition."""

    types: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    claim_id: UUID | None = None
    notification_id: UUID | None = None
    visitor_id: str | None = None


class EventsQuery(NamedTuple):
    """A page of events; hashable, to be part of a loader's key."""

    first: int
    after: Position | None
    filter: EventFilter


def events_query(first: int, after: str | None, filter_: EventFilter) -> EventsQuery:
    """The query of a page, from the arguments of a connection.

    Raises:
        BadUserInput: `first` is out of 1..100, `after` is not a cursor of this list, a time has no
            offset or is out of bounds, there are too many types, or a text cannot be stored.
    """
    check_first(first)
    if filter_.since is not None:
        query_range.check_time(filter_.since, "since")
    if filter_.until is not None:
        query_range.check_time(filter_.until, "until")
    if filter_.since and filter_.until and filter_.until <= filter_.since:
        raise BadUserInput("`until` must be after `since`.")
    if filter_.types is not None and not 1 <= len(filter_.types) <= MAX_TYPES:
        raise BadUserInput(f"`types` must name 1 to {MAX_TYPES} event types, or be omitted.")
    texts = [*(filter_.types or ()), filter_.visitor_id or ""]
    if not all(map(is_storable, texts)):
        raise BadUserInput(
            f"`types` and `visitorId` take texts of at most {MAX_TEXT} characters, without NUL."
        )
    return EventsQuery(first, from_cursor(after) if after is not None else None, filter_)


def is_storable(text: str) -> bool:
    """Whether an event can have this text as its type or visitor ID."""
    return len(text) <= MAX_TEXT and can_be_stored(text)


def with_default_since(query: EventsQuery, now: datetime) -> EventsQuery:
    """The query, limited to `DEFAULT_SEARCH` if it is a search that nothing else limits."""
    filter_ = query.filter
    is_search = filter_.types is not None or filter_.visitor_id is not None
    if filter_.since or not is_search or filter_.claim_id or filter_.notification_id:
        return query
    end = min(filter_.until or now, now)
    return query._replace(filter=filter_._replace(since=end - DEFAULT_SEARCH))
