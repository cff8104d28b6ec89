"""The claims that events make: each active notification renders its template for each event."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.ids import derived_id, moment_of
from subgraphs.kernel.streams.envelope import Event
from subgraphs.kernel.text import can_be_stored
from subgraphs.notifications import ab_tests, claims, template_cache, template_rendering
from subgraphs.notifications.models import Claim
from subgraphs.notifications.template_cache import CachedNotification

MAX_URL = 2_000
"""Characters. Some browsers and proxies refuse longer addresses."""

_EVENT_TYPES = {"RECENT_ORDER": "order.created"}
"""The type of event that each type of notification reports."""


class _Match(NamedTuple):
    """An event, and a notification that reports events of its type."""

    event: Event
    notification: CachedNotification

    @property
    def claim_id(self) -> UUID:
        moment = moment_of(self.event.id)
        return derived_id(moment, self.notification.notification_id, self.event.id)


async def render_claims(session: AsyncSession, events: Sequence[Event]) -> list[Claim]:
    """The claims that the sites' active notifications make of these events, in the events' order.

    Writes nothing. A repeated event makes the same claim, because the claim's id is derived from
    the event's. A claim that is already stored is returned even if its notification has been
    paused, or its template no longer renders this event.
    """
    reported = [event for event in events if event.type in _EVENT_TYPES.values()]
    matches = await _match(session, reported) if reported else []
    drafts = {match.claim_id: _render(match) for match in matches}
    stored = await claims.get_many(session, [id_ for id_, draft in drafts.items() if draft is None])
    rendered = [drafts[match.claim_id] or stored.get(match.claim_id) for match in matches]
    return [claim for claim in rendered if claim]


async def _match(session: AsyncSession, events: Sequence[Event]) -> list[_Match]:
    by_site = await template_cache.get_many(session, {event.site_id for event in events})
    return [
        _Match(event, notification)
        for event in events
        for notification in by_site[event.site_id]
        if _EVENT_TYPES[notification.type] == event.type
    ]


def _render(match: _Match) -> Claim | None:
    """The new claim of a match; None if the notification is not active or renders no text."""
    event, notification = match
    if notification.status != "ACTIVE":
        return None
    claim_id = match.claim_id
    variant = ab_tests.choose_variant(claim_id, notification.variants)
    body = variant.body if variant else notification.body
    text = template_rendering.render(body, _variables(event))
    if text is None:
        return None
    return Claim(
        id=claim_id,
        account_id=notification.account_id,
        site_id=notification.site_id,
        notification_id=notification.notification_id,
        source_event_ids=[event.id],
        text=text,
        url=_https_url(event.payload.get("productUrl")),
        occurred_at=event.occurred_at,
        published_at=datetime.now(UTC),
        variant_id=variant.id if variant else None,
    )


def _variables(order: Event) -> dict[str, object]:
    return {
        "first_name": order.payload.get("firstName"),
        "city": order.payload.get("city"),
        "country": order.payload.get("countryName"),
        "product": order.payload.get("product"),
        "quantity": order.payload.get("quantity"),
    }


def _https_url(url: object) -> str | None:
    """The URL if it is a valid HTTPS address, else None."""
    if not isinstance(url, str) or len(url) > MAX_URL or not can_be_stored(url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme == "https" and parts.hostname else None
