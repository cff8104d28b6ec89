"""A stream worker that acknowledges entries before it processes them, and so loses them if killed.

The chaos test must detect the loss.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.interface import Consumer, Entry
from workers.stream.main import main as run_stream_worker

_HOLD_SECONDS = 0.3
"""Delay between acknowledgement and processing, so that a kill is likely to fall into it."""


class EarlyAckConsumer:
    """A consumer that acknowledges entries as soon as it has read them."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        entries = await self._consumer.read(limit=limit, wait=wait)
        await self._consumer.ack(entries)
        await asyncio.sleep(_HOLD_SECONDS if entries else 0)
        return entries

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        """Do nothing: `read` has acknowledged the entries."""


async def main() -> None:
    streams: Any = event_streams.streams()
    original = streams.consumer
    streams.consumer = lambda topic, group: EarlyAckConsumer(original(topic, group))
    await run_stream_worker()


if __name__ == "__main__":
    asyncio.run(main())
