"""The SQL that merges source events and notification events."""

from typing import Any

from sqlalchemy import TextClause, text

from subgraphs.analytics.site_events.query import CLAIM_PREFIX, EventFilter, EventsQuery

_SOURCE_EVENTS = """
    SELECT false AS about_claim, time, id, event_type, captured_at, visitor_id, source, payload,
           CAST(NULL AS uuid) AS claim_id, CAST(NULL AS uuid) AS notification_id,
           CAST(NULL AS text) AS page, CAST(NULL AS text) AS arm,
           CAST(NULL AS bigint) AS revenue_minor, CAST(NULL AS text) AS currency
    FROM source_events_before(
        site.id, CAST(:limit AS integer), CAST(:at AS timestamptz), CAST(:after_id AS uuid),
        CAST(:after_type AS text), CAST(:since AS timestamptz), CAST(:until AS timestamptz),
        CAST(:source_types AS text[]), CAST(:visitor_id AS text))"""

_NOTIFICATION_EVENTS = """
    SELECT true AS about_claim, created_at AS time, id, event_type, captured_at, visitor_id,
           CAST(NULL AS text) AS source, CAST(NULL AS jsonb) AS payload, claim_id, notification_id,
           page, arm, revenue_minor, currency
    FROM notification_events WHERE {where}
    ORDER BY created_at DESC, id DESC, event_type DESC LIMIT :limit"""

_MERGED = """
    SELECT site.id AS site_id, event.*
    FROM unnest(CAST(:sites AS uuid[])) AS site (id)
    CROSS JOIN LATERAL (
        SELECT * FROM ({branches}) AS merged
        ORDER BY time DESC, id DESC, event_type DESC LIMIT :limit
    ) event
    ORDER BY time DESC, event.id DESC, event_type DESC"""


def statement_of(query: EventsQuery) -> TextClause | None:
    """The statement of one page; None if no event can match the filter."""
    branches = _branches(query)
    if not branches:
        return None
    return text(_MERGED.format(branches=" UNION ALL ".join(f"({it})" for it in branches)))


def parameters_of(query: EventsQuery) -> dict[str, Any]:
    """The parameters of the statement, except `sites`."""
    source_types, claim_types = _types(query.filter)
    at, after_id, after_type = query.after or (None, None, None)
    return {
        "limit": query.first + 1,
        "since": query.filter.since,
        "until": query.filter.until,
        "at": at,
        "after_id": after_id,
        "after_type": after_type,
        "source_types": source_types,
        "claim_types": claim_types,
        "claim_id": query.filter.claim_id,
        "notification_id": query.filter.notification_id,
        "visitor_id": query.filter.visitor_id,
    }


def _branches(query: EventsQuery) -> list[str]:
    """A SELECT for each table that can have matching events."""
    filter_ = query.filter
    source_types, claim_types = _types(filter_)
    branches = []
    if source_types != [] and filter_.claim_id is None and filter_.notification_id is None:
        branches.append(_SOURCE_EVENTS)
    if claim_types != []:
        where = " AND ".join(_conditions(query, claim_types))
        branches.append(_NOTIFICATION_EVENTS.format(where=where))
    return branches


def _conditions(query: EventsQuery, types: list[str] | None) -> list[str]:
    """Only the conditions of this filter: with all of them, the planner would pick a worse plan."""
    filter_ = query.filter
    where = ["site_id = site.id"]
    where += ["created_at >= :since"] if filter_.since else []
    where += ["created_at < :until"] if filter_.until else []
    if query.after:
        # The first condition follows from the second, but only the first one prunes partitions.
        where.append("created_at <= :at")
        where.append("(created_at, id, event_type) < (:at, :after_id, :after_type)")
    where += ["event_type = ANY (:claim_types)"] if types else []
    where += ["claim_id = :claim_id"] if filter_.claim_id else []
    where += ["notification_id = :notification_id"] if filter_.notification_id else []
    where += ["visitor_id = :visitor_id"] if filter_.visitor_id is not None else []
    return where


def _types(filter_: EventFilter) -> tuple[list[str] | None, list[str] | None]:
    """The types of source events and of notification events, as the tables store them."""
    if filter_.types is None:
        return None, None
    claims = [it.removeprefix(CLAIM_PREFIX) for it in filter_.types if it.startswith(CLAIM_PREFIX)]
    return [it for it in filter_.types if not it.startswith(CLAIM_PREFIX)], claims
