"""The step `check_timestamps`: cuts times to milliseconds and drops implausible ones.

PostgreSQL's key has microseconds and ClickHouse's milliseconds: cut here, both mean the same
instant, and a row of one is a row of the other.
"""

from datetime import datetime, timedelta

import msgspec

from subgraphs.analytics.ingest import event_parsing
from subgraphs.analytics.pipeline.batch import CLAIM_EVENTS, SNIPPET, Batch, Drop
from subgraphs.kernel.streams.envelope import Event

MAX_AGE = timedelta(days=5 * 365)
"""Older facts are mistakes; a batch of them would also meet ClickHouse's 100 partitions."""

MAX_AHEAD = timedelta(hours=1)
"""How far a shop's clock may be before ours."""


def check_timestamps(batch: Batch) -> None:
    """Cut times to milliseconds; drop events whose time is too far from their capture."""
    for item in batch.items:
        if event := item.live:
            item.event = event = in_milliseconds(event)
            if not _plausible(event):
                item.drop = Drop.IMPLAUSIBLE_TIME


def in_milliseconds(event: Event) -> Event:
    """The same event, with its times cut to whole milliseconds."""
    occurred_at, captured_at = event.occurred_at, event.captured_at
    if not (occurred_at.microsecond % 1000 or captured_at.microsecond % 1000):
        return event
    return msgspec.structs.replace(
        event, occurred_at=cut(occurred_at), captured_at=cut(captured_at)
    )


def cut(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _plausible(event: Event) -> bool:
    age = event.captured_at - event.occurred_at
    # What a page says has passed this rule at the door. Whoever else writes to the stream has not.
    if event.source == SNIPPET or event.type in CLAIM_EVENTS:
        return -event_parsing.MAX_AHEAD <= age <= event_parsing.MAX_AGE
    return -MAX_AHEAD < age < MAX_AGE
