"""What happens at a site, for the dashboards that watch: gathered, so that a busy shop does not
make a dashboard busy."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from uuid import UUID

from subgraphs.kernel import live
from subgraphs.kernel.live import Entry

EVERY = 0.5
"""Seconds between two messages; the first one goes at once."""

MOST = 200
"""Events of one message. When more wait, they stay in the channel until the next."""


def of_site(site_id: UUID, after: str | None) -> AsyncGenerator[list[Entry], None]:
    """Lists of what happened, in order, from the cursor on."""
    return gathered(live.follow(live.activity_of(site_id), after))


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
        reader.cancel()


async def _read(entries: AsyncIterator[Entry], into: asyncio.Queue[Entry | Exception]) -> None:
    """Read on while there is room; what ends the reading is the last thing handed over."""
    try:
        async for entry in entries:
            await into.put(entry)
        ended: Exception = EOFError("the channel ended")
    except Exception as error:
        ended = error
    await into.put(ended)
