"""A stream worker that acknowledges what it reads and works then: chaos must find what it loses."""

import asyncio
from collections.abc import Mapping, Sequence

from subgraphs.kernel import redis_streams
from subgraphs.kernel.streams import Entry
from workers import ingest

_HOLD_SECONDS = 0.3
"""From the acknowledgement to the work: time to be killed in."""


class HastyConsumer(redis_streams.RedisConsumer):
    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        entries = await super().read(limit=limit, wait=wait)
        if entries:
            await super().ack(entries)
            await asyncio.sleep(_HOLD_SECONDS)
        return entries

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        """It was."""


if __name__ == "__main__":
    redis_streams.RedisConsumer = HastyConsumer  # type: ignore[misc]
    asyncio.run(ingest.main())
