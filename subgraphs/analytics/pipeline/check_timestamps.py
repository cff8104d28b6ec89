"""The step `check_timestamps`: truncates times to milliseconds and drops implausible ones.

PostgreSQL stores microseconds and ClickHouse milliseconds. With truncated times a row has the same
key in both.
"""

from datetime import datetime, timedelta

import msgspec

from subgraphs.analytics.ingest import event_parsing
from subgraphs.analytics.pipeline.batch import CLAIM_EVENTS, SNIPPET, Batch, Drop
from subgraphs.kernel.streams.envelope import Event

MAX_AGE = timedelta(days=5 * 365)
"""Older source events are mistakes; a batch of them would also exceed ClickHouse's limit of 100
partitions per insert."""

MAX_AHEAD = timedelta(hours=1)
"""How far a shop's clock may be ahead of ours."""


def check_timestamps(batch: Batch) -> None:
    """Truncate times to milliseconds; drop events whose time is too far from their capture."""
    for item in batch.items:
        if event := item.live:
            item.event = event = with_truncated_times(event)
            if not _is_plausible(event):
                item.drop = Drop.IMPLAUSIBLE_TIME


def with_truncated_times(event: Event) -> Event:
    """The same event with its times truncated to milliseconds."""
    occurred_at, captured_at = event.occurred_at, event.captured_at
    if not (occurred_at.microsecond % 1000 or captured_at.microsecond % 1000):
        return event
    return msgspec.structs.replace(
        event, occurred_at=truncated(occurred_at), captured_at=truncated(captured_at)
    )


def truncated(time: datetime) -> datetime:
    """The time without its microseconds below a millisecond."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _is_plausible(event: Event) -> bool:
    age = event.captured_at - event.occurred_at
    # The ingest endpoint has checked the snippet's events; other writers of the stream have not.
    if event.source == SNIPPET or event.type in CLAIM_EVENTS:
        return -event_parsing.MAX_AHEAD <= age <= event_parsing.MAX_AGE
    return -MAX_AHEAD < age < MAX_AGE
