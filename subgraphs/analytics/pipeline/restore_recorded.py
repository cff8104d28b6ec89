"""The step `restore_recorded`: keeps events that were dropped as too fast but are in the ledger.

When a batch repeats, `drop_bots` may count it from another start than before.
"""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.pipeline.batch import CLAIM_EVENTS, Batch, Drop, Item
from subgraphs.kernel.streams.envelope import Event

_STORED = {
    True: """SELECT site_id, created_at, id FROM notification_events
             WHERE site_id = ANY(:sites) AND created_at = ANY(:times) AND id = ANY(:ids)""",
    False: """SELECT site_id, time, id FROM events
              WHERE site_id = ANY(:sites) AND time = ANY(:times) AND id = ANY(:ids)""",
}
"""By whether the events are claim events."""


async def restore_recorded(session: AsyncSession, batch: Batch) -> None:
    """Undo the drop of events that are too fast now and that the ledger has already."""
    too_fast = [item for item in batch.items if item.drop is Drop.BOT_TOO_FAST]
    for are_claim_events, statement in _STORED.items():
        events = _events(too_fast, are_claim_events)
        if not events:
            continue
        values = {
            "sites": list({event.site_id for event in events}),
            "times": list({event.occurred_at for event in events}),
            "ids": [event.id for event in events],
        }
        stored = set(map(tuple, await session.execute(text(statement), values)))
        for item in too_fast:
            if (event := item.event) and (event.site_id, event.occurred_at, event.id) in stored:
                item.drop = None


def _events(items: Iterable[Item], are_claim_events: bool) -> list[Event]:
    events = [item.event for item in items if item.event]
    return [event for event in events if (event.type in CLAIM_EVENTS) is are_claim_events]
