"""What the graph shows of a site as things happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import strawberry

from subgraphs.kernel.live import Entry


@strawberry.type
class ActivityEvent:
    """Something that happened at a site."""

    type: str
    occurred_at: datetime
    claim_id: strawberry.ID | None
    text: str | None


@strawberry.type
class SiteActivity:
    """What happened since the message before; `cursor` is where to go on from."""

    cursor: str
    events: list[ActivityEvent]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Self:
        return cls(
            cursor=entries[-1].cursor,
            events=[_event(entry.data) for entry in entries],
        )


def _event(data: Mapping[str, Any]) -> ActivityEvent:
    claim_id = data["claimId"]
    return ActivityEvent(
        type=data["type"],
        occurred_at=datetime.fromisoformat(data["occurredAt"]),
        claim_id=strawberry.ID(claim_id) if claim_id else None,
        text=data["text"],
    )
