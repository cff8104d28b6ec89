"""What happens at a site, for the dashboards that watch: gathered, so that a busy shop does not
make a dashboard busy."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from uuid import UUID

from subgraphs.kernel import cancellation, live
from subgraphs.kernel.live import Entry

EVERY = 0.5
"""Seconds between two messages; the first one goes at once."""

MOST = 200
"""Batches of one message. When more wait, they stay in the channel until the next."""

LATEST = 50
"""Events that one message tells of: more than a person reads in the time until the next."""


class Activity(NamedTuple):
    """What one message tells."""

    cursor: str
    counters: Mapping[str, int]
    events: list[Mapping[str, Any]]
    more: int
    """Earlier events that are left out."""


async def of_site(
    site_id: UUID, after: str | None, counters: Mapping[str, int]
) -> AsyncGenerator[Activity, None]:
    """What happens from the cursor on, at most two messages a second.

    Args:
        counters: of the site, as the ledger has them before this begins.
    """
    async with aclosing(gathered(live.subscribe(live.activity_of(site_id), after))) as lists:
        async for entries in lists:
            counters = raised(counters, entries)
            yield summed_up(entries, counters)


def raised(counters: Mapping[str, int], entries: Sequence[Entry]) -> dict[str, int]:
    """The counters after these entries. They only grow: one that is told again changes nothing."""
    found = dict(counters)
    for entry in entries:
        for metric, value in entry.data["counters"].items():
            found[metric] = max(value, found.get(metric, 0))
    return found


def summed_up(entries: Sequence[Entry], counters: Mapping[str, int]) -> Activity:
    """One message for many batches."""
    events = [event for entry in entries for event in entry.data["events"]]
    latest = events[-LATEST:]
    more = sum(entry.data["more"] for entry in entries) + len(events) - len(latest)
    return Activity(entries[-1].cursor, counters, latest, more)


async def gathered(
    entries: AsyncIterator[Entry], *, every: float = EVERY, most: int = MOST
) -> AsyncGenerator[list[Entry], None]:
    """What comes, in lists, with `every` seconds between them."""
    waiting: asyncio.Queue[Entry | Exception] = asyncio.Queue(maxsize=most)
    reader = asyncio.create_task(_read(entries, waiting))
    try:
        while True:
            batch = [await waiting.get()]
            while not waiting.empty():
                batch.append(waiting.get_nowait())
            if came := [entry for entry in batch if not isinstance(entry, Exception)]:
                yield came
            if isinstance(batch[-1], Exception):
                raise batch[-1]
            await asyncio.sleep(every)
    finally:
        await cancellation.cancel_and_wait(reader)


async def _read(entries: AsyncIterator[Entry], into: asyncio.Queue[Entry | Exception]) -> None:
    """Read on while there is room; what ends the reading is the last thing handed over."""
    try:
        async for entry in entries:
            await into.put(entry)
        ended: Exception = EOFError("the channel ended")
    except Exception as error:
        ended = error
    await into.put(ended)
