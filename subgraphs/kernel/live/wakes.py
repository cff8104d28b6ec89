"""Wakes: the broadcast that tells followers to look at their channel again.

On `broadcaster`, with a backend of our own. Its Redis backend sets its ready flag before SUBSCRIBE
has been answered, ends in silence when the connection does, and queues without a bound.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from broadcaster import Broadcast, BroadcastBackend, Event
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from subgraphs.kernel import cancellation, redis
from subgraphs.kernel.config import settings

log = logging.getLogger(__name__)

_PREFIX = "wake:"
_KEEP_ALIVE = "wake:"
"""Subscribed from the start: without any subscription there is nothing to read."""

_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 0.2
_CONFIRM_SECONDS = 5.0


def wake_channel(channel: str) -> str:
    """The pub/sub channel that wakes the followers of a live channel."""
    return _PREFIX + channel


class RedisWakes(BroadcastBackend):
    """Pub/sub that confirms a subscription, begins anew after a break, and then wakes everyone.

    Redis answers each SUBSCRIBE. Such an answer is taken as a wake: something may have been missed
    before it. A connection is used until it breaks and never mended, because redis-py mends it
    under the hands of whoever reads; the reader then makes a new one with all that is wanted.
    """

    def __init__(self) -> None:
        self._client = Redis.from_url(
            settings().redis_url,
            socket_connect_timeout=redis.ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._pubsub: PubSub | None = None
        self._wanted: dict[str, asyncio.Event] = {}
        """The groups that are followed, and whether Redis has confirmed them."""
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        """The groups that began or ceased to be wanted, in order."""
        self._waiting: dict[str, None] = {}
        self._any_waiting = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._ask())]

    async def disconnect(self) -> None:
        await cancellation.cancel_and_wait(*self._tasks)
        await self._client.aclose()

    # Neither of these two waits for anything: broadcaster takes a cancellation in the middle of
    # them for something else and answers with a KeyError.
    async def subscribe(self, group: str) -> None:
        self._wanted.setdefault(group, asyncio.Event())
        self._changed.put_nowait(group)

    async def unsubscribe(self, group: str) -> None:
        self._wanted.pop(group, None)
        self._changed.put_nowait(group)

    async def confirmed(self, group: str) -> None:
        """Returns once Redis has confirmed, or after a while: a follower looks by itself, too."""
        try:
            async with asyncio.timeout(_CONFIRM_SECONDS):
                await self._wanted[group].wait()
        except TimeoutError:
            log.warning("wakes: %s is not confirmed yet", group)

    async def publish(self, channel: str, message: Any) -> None:
        await redis.client().publish(channel, message)

    async def next_published(self) -> Event:
        while not self._waiting:
            self._any_waiting.clear()
            await self._any_waiting.wait()
        channel = next(iter(self._waiting))
        del self._waiting[channel]
        return Event(channel, "")

    async def _ask(self) -> None:
        """Tell Redis of each change; what a break swallows, the next connection takes along."""
        while True:
            group = await self._changed.get()
            if self._pubsub is None:
                continue
            try:
                if group in self._wanted:
                    await self._pubsub.subscribe(group)
                else:
                    await self._pubsub.unsubscribe(group)
            except Exception as error:  # redis-py raises all sorts on a connection that has gone
                log.info("wakes: %r; the reader begins anew", error)

    async def _read(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    await self._serve(pubsub)
            except Exception as error:  # whatever broke it, the next connection is a new one
                log.warning("wakes: %r; beginning anew", error)
            for confirmed in self._wanted.values():
                confirmed.clear()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _serve(self, pubsub: PubSub) -> None:
        await pubsub.subscribe(_KEEP_ALIVE, *self._wanted)
        self._pubsub = pubsub
        try:
            while True:
                message = await pubsub.get_message(timeout=_POLL_SECONDS)
                if message and message["type"] in ("message", "subscribe"):
                    self._wake(message["channel"].decode(), message["type"])
                # Wanted while the connection was being made, so asked for by nobody yet.
                missing = self._wanted.keys() - {key.decode() for key in pubsub.channels}
                if missing:
                    await pubsub.subscribe(*missing)
        finally:
            self._pubsub = None

    def _wake(self, channel: str, kind: str) -> None:
        if kind == "subscribe" and channel in self._wanted:
            self._wanted[channel].set()
        self._waiting[channel] = None  # however many came, one look finds all of them
        self._any_waiting.set()


_wakes: RedisWakes | None = None
_broadcast: Broadcast | None = None
_turn = asyncio.Lock()
"""Broadcaster's bookkeeping is not for two at once: of those who come together it keeps one, and
who comes while the last one leaves is unsubscribed with them."""


@asynccontextmanager
async def woken(channel: str) -> AsyncIterator[asyncio.Event]:
    """An event that is set whenever the channel may have something new."""
    look = asyncio.Event()
    stack = AsyncExitStack()
    group = wake_channel(channel)
    async with _turn:
        wakes, broadcast = await _connected()
        subscriber = await stack.enter_async_context(broadcast.subscribe(group))

    async def pump() -> None:
        # Takes each wake at once, so that broadcaster's unbounded queue stays empty.
        while await subscriber.get():
            look.set()

    pumping = asyncio.create_task(pump())
    try:
        await wakes.confirmed(group)
        yield look
    finally:
        pumping.cancel()
        async with _turn:
            await stack.aclose()


async def dispose() -> None:
    """Close this process's subscription."""
    global _wakes, _broadcast
    if _broadcast is not None:
        with suppress(RedisError, OSError):
            await _broadcast.disconnect()
        _wakes = _broadcast = None


async def _connected() -> tuple[RedisWakes, Broadcast]:
    global _wakes, _broadcast
    if _wakes is None or _broadcast is None:
        _wakes = RedisWakes()
        _broadcast = Broadcast(backend=_wakes)
        await _broadcast.connect()
    return _wakes, _broadcast
