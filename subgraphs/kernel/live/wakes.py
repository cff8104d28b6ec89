"""Wakes: the broadcast that tells followers to look at their channel again.

On `broadcaster`, with a backend of our own. Its Redis backend sets its ready flag before SUBSCRIBE
has been answered, ends in silence when the connection does, and queues without a bound.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from broadcaster import Broadcast, BroadcastBackend, Event
from redis.exceptions import RedisError

from subgraphs.kernel import redis

log = logging.getLogger(__name__)

_PREFIX = "wake:"
_KEEP_ALIVE = "wake:"
"""Subscribed from the start, so that the connection exists before the first follower does."""

_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 0.2
_CONFIRM_SECONDS = 5.0


def wake_channel(channel: str) -> str:
    """The pub/sub channel that wakes the followers of a live channel."""
    return _PREFIX + channel


class RedisWakes(BroadcastBackend):
    """Pub/sub that confirms a subscription, reconnects, and wakes everyone after a gap.

    Redis answers each SUBSCRIBE, also those redis-py repeats on a new connection. Each such answer
    is taken as a wake: something may have been missed before it.
    """

    def __init__(self) -> None:
        self._pubsub = redis.client().pubsub()
        self._confirmed: dict[str, asyncio.Event] = {}
        self._waiting: dict[str, None] = {}
        self._any_waiting = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self._pubsub.subscribe(_KEEP_ALIVE)
        self._reader = asyncio.create_task(self._read())

    async def disconnect(self) -> None:
        if self._reader:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def subscribe(self, group: str) -> None:
        confirmed = self._confirmed.setdefault(group, asyncio.Event())
        await self._pubsub.subscribe(group)
        await asyncio.wait_for(confirmed.wait(), _CONFIRM_SECONDS)

    async def unsubscribe(self, group: str) -> None:
        self._confirmed.pop(group, None)
        with suppress(RedisError, OSError):  # a connection that is gone has unsubscribed
            await self._pubsub.unsubscribe(group)

    async def publish(self, channel: str, message: Any) -> None:
        await redis.client().publish(channel, message)

    async def next_published(self) -> Event:
        while not self._waiting:
            self._any_waiting.clear()
            await self._any_waiting.wait()
        channel = next(iter(self._waiting))
        del self._waiting[channel]
        return Event(channel, "")

    async def _read(self) -> None:
        while True:
            try:
                message = await self._pubsub.get_message(timeout=_POLL_SECONDS)
            except (RedisError, OSError) as error:
                log.warning("wakes: %s; reconnecting", error)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if message and message["type"] in ("message", "subscribe"):
                self._wake(message["channel"].decode(), message["type"])

    def _wake(self, channel: str, kind: str) -> None:
        if kind == "subscribe" and channel in self._confirmed:
            self._confirmed[channel].set()
        self._waiting[channel] = None  # however many came, one look finds all of them
        self._any_waiting.set()


_broadcast: Broadcast | None = None
_connecting = asyncio.Lock()


@asynccontextmanager
async def woken(channel: str) -> AsyncIterator[asyncio.Event]:
    """An event that is set whenever the channel may have something new."""
    broadcast = await _connected()
    look = asyncio.Event()
    async with broadcast.subscribe(wake_channel(channel)) as subscriber:

        async def pump() -> None:
            # Takes each wake at once, so that broadcaster's unbounded queue stays empty.
            while await subscriber.get():
                look.set()

        pumping = asyncio.create_task(pump())
        try:
            yield look
        finally:
            pumping.cancel()


async def dispose() -> None:
    """Close this process's subscription."""
    global _broadcast
    if _broadcast is not None:
        with suppress(RedisError, OSError):
            await _broadcast.disconnect()
        _broadcast = None


async def _connected() -> Broadcast:
    global _broadcast
    async with _connecting:
        if _broadcast is None:
            broadcast = Broadcast(backend=RedisWakes())
            await broadcast.connect()
            _broadcast = broadcast
        return _broadcast
