"""The step `drop_bots`: events of machines, by what the door saw and by how fast they come.

The rules are in `bots.py`. The one of speed is kept here: of one visitor at one site at most
`PER_MINUTE` events count in a minute, and a minute is one of the clock in which they reached us.
The worker that has a site's partition sees all of its visitors, so it counts in memory. A worker
that takes over begins at nothing and may let as many through once more, never fewer.

An event that was counted once stays counted: when a batch comes again, `restore_recorded` keeps the
events that `drop_bots` finds too fast now and that the ledger has already.
"""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.ingest.bots import Rule
from subgraphs.analytics.pipeline.batch import CLAIM_EVENTS, SNIPPET, Batch, Drop, Item
from subgraphs.kernel.streams.envelope import Event

PER_MINUTE = 120
"""Events of one visitor. Toasts come six seconds apart at the fastest, each shown, clicked and
dismissed; with a page a second on top a person stays below 100."""

MOST_VISITORS = 100_000
"""Visitors whose pace is remembered, some 15 MB; all are forgotten when there are more, and one who
was too fast gets another `PER_MINUTE`."""

_KNOWN_RULES = {rule.value: Drop(f"bot_{rule}") for rule in Rule}

_STORED = {
    True: """SELECT site_id, created_at, id FROM notification_events
             WHERE site_id = ANY(:sites) AND created_at = ANY(:times) AND id = ANY(:ids)""",
    False: """SELECT site_id, time, id FROM events
              WHERE site_id = ANY(:sites) AND time = ANY(:times) AND id = ANY(:ids)""",
}


class BotRate:
    """How many events each visitor has had in the minute he is in."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, int]] = {}
        """By visitor: the minute, and the events in it."""

    def judge(self, batch: Batch) -> None:
        """Drop what comes too fast."""
        for item in batch.items:
            event = item.live
            if event and event.source == SNIPPET and event.visitor_id and self._too_fast(event):
                item.drop = Drop.BOT_TOO_FAST

    def _too_fast(self, event: Event) -> bool:
        if len(self._seen) >= MOST_VISITORS:
            self._seen.clear()
        visitor = hash((event.site_id, event.visitor_id))
        minute = int(event.captured_at.timestamp()) // 60
        last, count = self._seen.get(visitor, (minute, 0))
        count = count + 1 if last == minute else 1
        self._seen[visitor] = minute, count
        return count > PER_MINUTE


_bot_rate = BotRate()


def drop_bots(batch: Batch, rate: BotRate = _bot_rate) -> None:
    """Drop the events of machines."""
    for item in batch.items:
        event = item.live
        if event and event.source == SNIPPET and (rule := event.payload.get("bot")):
            item.drop = _KNOWN_RULES.get(str(rule), Drop.BOT_CRAWLER)
    rate.judge(batch)


async def restore_recorded(session: AsyncSession, batch: Batch) -> None:
    """Let pass what was found too fast and is in the ledger all the same."""
    fast = [item for item in batch.items if item.drop is Drop.BOT_TOO_FAST]
    for about_claims, statement in _STORED.items():
        events = _events(fast, about_claims)
        if not events:
            continue
        values = {
            "sites": list({event.site_id for event in events}),
            "times": list({event.occurred_at for event in events}),
            "ids": [event.id for event in events],
        }
        stored = set(map(tuple, await session.execute(text(statement), values)))
        for item in fast:
            if (event := item.event) and (event.site_id, event.occurred_at, event.id) in stored:
                item.drop = None


def _events(items: Iterable[Item], about_claims: bool) -> list[Event]:
    events = [item.event for item in items if item.event]
    return [event for event in events if (event.type in CLAIM_EVENTS) is about_claims]
