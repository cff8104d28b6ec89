"""What happens at a site, as messages for the dashboards that watch it.

Batches of the live channel are collected, so that a busy shop sends its dashboards few messages.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from uuid import UUID

from subgraphs.kernel import cancellation, live
from subgraphs.kernel.live import Entry

INTERVAL = 0.5
"""Seconds between two messages; the first one is sent at once."""

MAX_BATCHES = 200
"""Batches of one message. Further batches stay in the channel until the next message."""

MAX_EVENTS = 50
"""Events in one message: more than a person reads until the next."""


class Activity(NamedTuple):
    """The content of one message."""

    cursor: str
    counters: Mapping[str, int]
    events: list[Mapping[str, Any]]
    more: int
    """Number of earlier events that are left out."""


async def of_site(
    site_id: UUID, after: str | None, counters: Mapping[str, int]
) -> AsyncGenerator[Activity, None]:
    """A site's activity after the cursor, at most two messages a second.

    Args:
        counters: the site's counters in the ledger at the start.
    """
    async with aclosing(collected(live.subscribe(live.activity_of(site_id), after))) as lists:
        async for entries in lists:
            counters = raised(counters, entries)
            yield summarised(entries, counters)


def raised(counters: Mapping[str, int], entries: Sequence[Entry]) -> dict[str, int]:
    """The counters after these entries. They only grow, so a repeated entry changes nothing."""
    values = dict(counters)
    for entry in entries:
        for metric, value in entry.data["counters"].items():
            values[metric] = max(value, values.get(metric, 0))
    return values


def summarised(entries: Sequence[Entry], counters: Mapping[str, int]) -> Activity:
    """One message for many batches."""
    events = [event for entry in entries for event in entry.data["events"]]
    latest = events[-MAX_EVENTS:]
    more = sum(entry.data["more"] for entry in entries) + len(events) - len(latest)
    return Activity(entries[-1].cursor, counters, latest, more)


async def collected(
    entries: AsyncIterator[Entry], *, interval: float = INTERVAL, limit: int = MAX_BATCHES
) -> AsyncGenerator[list[Entry], None]:
    """The entries in lists of at most `limit`, with `interval` seconds between two lists.

    Raises:
        EOFError: the entries have ended.
    """
    waiting: asyncio.Queue[Entry | Exception] = asyncio.Queue(maxsize=limit)
    reader = asyncio.create_task(_read(entries, waiting))
    try:
        while True:
            batch = [await waiting.get()]
            while not waiting.empty():
                batch.append(waiting.get_nowait())
            if received := [entry for entry in batch if not isinstance(entry, Exception)]:
                yield received
            if isinstance(batch[-1], Exception):
                raise batch[-1]
            await asyncio.sleep(interval)
    finally:
        await cancellation.cancel_and_wait(reader)


async def _read(entries: AsyncIterator[Entry], into: asyncio.Queue[Entry | Exception]) -> None:
    """Read while the queue has room; put the error that ends the reading last."""
    try:
        async for entry in entries:
            await into.put(entry)
        error: Exception = EOFError("the channel ended")
    except Exception as raised_error:
        error = raised_error
    await into.put(error)
