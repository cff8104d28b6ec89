"""GraphQL types of the live subscription to a site's activity."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import strawberry

from subgraphs.analytics.realtime.activity import Activity
from subgraphs.analytics.types.metrics import Counters


@strawberry.type
class ActivityEvent:
    """A source event or notification event of a site."""

    type: str = strawberry.field(description="The event type, like `order.created`.")
    occurred_at: datetime = strawberry.field(description="When the event happened in the shop.")
    claim_id: strawberry.ID | None = strawberry.field(
        description="The claim that the event is about; null for source events."
    )
    text: str | None = strawberry.field(
        description="The claim's text; null if the event has no claim text."
    )

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        claim_id = data["claimId"]
        return cls(
            type=data["type"],
            occurred_at=datetime.fromisoformat(data["occurredAt"]),
            claim_id=strawberry.ID(claim_id) if claim_id else None,
            text=data["text"],
        )


@strawberry.type
class SiteActivity:
    """The activity of a site since the previous message."""

    cursor: str = strawberry.field(description="Pass it as `after` to resume the subscription.")
    counters: Counters = strawberry.field(
        description="Counts since the site's first event. They are absolute: a client that missed "
        "messages needs no correction."
    )
    events: list[ActivityEvent] = strawberry.field(
        description="The latest events, at most 50, oldest first."
    )
    more: int = strawberry.field(description="The number of earlier events that are left out.")

    @classmethod
    def of(cls, activity: Activity) -> Self:
        return cls(
            cursor=activity.cursor,
            counters=Counters.of(activity.counters),
            events=[ActivityEvent.of(event) for event in activity.events],
            more=activity.more,
        )
