"""What the graph shows of a site as things happen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import strawberry

from subgraphs.analytics.realtime.activity import Activity
from subgraphs.analytics.types.metrics import Counters


@strawberry.type
class ActivityEvent:
    """Something that happened at a site."""

    type: str
    occurred_at: datetime
    claim_id: strawberry.ID | None
    text: str | None

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
    """What happened since the message before; `cursor` is where to go on from."""

    cursor: str
    counters: Counters = strawberry.field(
        description="How often each thing has happened at the site so far. Absolute: who missed "
        "messages has missed no number."
    )
    events: list[ActivityEvent] = strawberry.field(
        description="The latest ones, at most 50, newest last."
    )
    more: int = strawberry.field(description="How many earlier ones the message leaves out.")

    @classmethod
    def of(cls, activity: Activity) -> Self:
        return cls(
            cursor=activity.cursor,
            counters=Counters.of(activity.counters),
            events=[ActivityEvent.of(event) for event in activity.events],
            more=activity.more,
        )
