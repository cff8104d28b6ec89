"""The step `drop_bots`: drops the events of bots, by their User-Agent and by their rate.

The ingest endpoint has checked the User-Agent (`ingest/bots.py`). This step checks the rate: at
most `PER_MINUTE` events of one visitor at one site count in a minute of capture time. The stream
worker that holds a site's partition sees all of its visitors, so it counts in memory. A worker that
takes over a partition begins at zero: it may count as many events once more, never fewer.

An event that was counted once stays counted: when a batch repeats, the step `restore_recorded`
keeps events that this step drops as too fast and that the ledger has already.
"""

from subgraphs.analytics.ingest.bots import BotRule
from subgraphs.analytics.pipeline.batch import SNIPPET, Batch, Drop
from subgraphs.kernel.streams.envelope import Event

PER_MINUTE = 120
"""Events of one visitor. Claims appear at most every six seconds, and each is shown, clicked and
dismissed; with a page view every second on top a person stays below 100."""

MAX_VISITORS = 100_000
"""Visitors with a stored rate, some 15 MB. All are removed beyond it, and a visitor who was too
fast may send another `PER_MINUTE`. Each event reads and writes a count: that takes 0.08 µs with a
dict and 0.98 µs with an LRU cache of cachetools."""

_DROPS = {rule.value: Drop(f"bot_{rule}") for rule in BotRule}


class BotRate:
    """The number of events of each visitor in the visitor's current minute."""

    def __init__(self) -> None:
        self._counts: dict[int, tuple[int, int]] = {}
        """By visitor: the minute, and the events in it."""

    def drop_too_fast(self, batch: Batch) -> None:
        """Drop the events above the rate."""
        for item in batch.items:
            event = item.live
            if event and event.source == SNIPPET and event.visitor_id and self._too_fast(event):
                item.drop = Drop.BOT_TOO_FAST

    def _too_fast(self, event: Event) -> bool:
        if len(self._counts) >= MAX_VISITORS:
            self._counts.clear()
        visitor = hash((event.site_id, event.visitor_id))
        minute = int(event.captured_at.timestamp()) // 60
        last, count = self._counts.get(visitor, (minute, 0))
        count = count + 1 if last == minute else 1
        self._counts[visitor] = minute, count
        return count > PER_MINUTE


_bot_rate = BotRate()


def drop_bots(batch: Batch, rate: BotRate = _bot_rate) -> None:
    """Drop the events of bots."""
    for item in batch.items:
        event = item.live
        if event and event.source == SNIPPET and (rule := event.payload.get("bot")):
            item.drop = _DROPS.get(str(rule), Drop.BOT_CRAWLER)
    rate.drop_too_fast(batch)
