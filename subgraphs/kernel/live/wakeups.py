"""Wake-ups: the broadcast that makes a channel's subscribers read it again.

Uses `broadcaster` for the fan-out within the process, with a backend of our own. Its Redis backend
reports readiness before Redis has confirmed a SUBSCRIBE, and stops silently when the connection
breaks. Its queues have no bound.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import structlog
from broadcaster import Broadcast, BroadcastBackend, Event
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from subgraphs.kernel import cancellation, redis
from subgraphs.kernel.config import settings

log = structlog.stdlib.get_logger(__name__)

_PREFIX = "wake:"
_ALWAYS_SUBSCRIBED = "wake:"
"""Redis has nothing to read from a connection without any subscription."""

_POLL_SECONDS = 1.0
_RECONNECT_SECONDS = 0.2
_CONFIRM_SECONDS = 5.0


def pubsub_channel(channel: str) -> str:
    """Returns the pub/sub channel that wakes a live channel's subscribers."""
    return _PREFIX + channel


class PubSubBackend(BroadcastBackend):
    """A broadcaster backend that confirms subscriptions and reconnects.

    Each SUBSCRIBE that Redis confirms counts as a wake-up, because earlier ones may have been
    missed. A broken connection is replaced, never repaired: redis-py repairs it concurrently with
    the task that reads. The replacement subscribes to all channels that are wanted.
    """

    def __init__(self) -> None:
        self._client = Redis.from_url(
            settings().redis_url,
            socket_connect_timeout=redis.ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._pubsub: PubSub | None = None
        self._wanted: dict[str, asyncio.Event] = {}
        """The wanted channels; each event is set while Redis has confirmed the subscription."""
        self._changes: asyncio.Queue[str] = asyncio.Queue()
        """Channels that became wanted or unwanted, in order."""
        self._pending: dict[str, None] = {}
        """Channels to wake, each once, in order."""
        self._has_pending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._send_changes())]

    async def disconnect(self) -> None:
        await cancellation.cancel_and_wait(*self._tasks)
        await self._client.aclose()

    # `subscribe` and `unsubscribe` must not await: broadcaster answers a cancellation inside them
    # with a KeyError.
    async def subscribe(self, channel: str) -> None:
        self._wanted.setdefault(channel, asyncio.Event())
        self._changes.put_nowait(channel)

    async def unsubscribe(self, channel: str) -> None:
        self._wanted.pop(channel, None)
        self._changes.put_nowait(channel)

    async def confirmed(self, channel: str) -> None:
        """Returns once Redis has confirmed, or after a timeout: subscribers also poll."""
        try:
            async with asyncio.timeout(_CONFIRM_SECONDS):
                await self._wanted[channel].wait()
        except TimeoutError:
            log.warning("wake_up_subscription_not_confirmed_yet", channel=channel)

    async def publish(self, channel: str, message: Any) -> None:
        await redis.client().publish(channel, message)

    async def next_published(self) -> Event:
        while not self._pending:
            self._has_pending.clear()
            await self._has_pending.wait()
        channel = next(iter(self._pending))
        del self._pending[channel]
        return Event(channel, "")

    async def _send_changes(self) -> None:
        """Sends each change of the wanted channels; a new connection includes those that failed."""
        while True:
            channel = await self._changes.get()
            if self._pubsub is None:
                continue
            try:
                if channel in self._wanted:
                    await self._pubsub.subscribe(channel)
                else:
                    await self._pubsub.unsubscribe(channel)
            except Exception as error:  # redis-py raises various errors on a broken connection
                log.info("wake_up_subscription_not_sent", channel=channel, error=repr(error))

    async def _read(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    await self._read_from(pubsub)
            except Exception as error:  # any: the next turn makes a new connection
                log.warning("wake_up_connection_broken", error=repr(error))
            for confirmed in self._wanted.values():
                confirmed.clear()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _read_from(self, pubsub: PubSub) -> None:
        await pubsub.subscribe(_ALWAYS_SUBSCRIBED, *self._wanted)
        self._pubsub = pubsub
        try:
            while True:
                message = await pubsub.get_message(timeout=_POLL_SECONDS)
                if message and message["type"] in ("message", "subscribe"):
                    self._wake(message["channel"].decode(), message["type"])
                # Channels that became wanted during the connect: no SUBSCRIBE was sent for them.
                missing = self._wanted.keys() - {key.decode() for key in pubsub.channels}
                if missing:
                    await pubsub.subscribe(*missing)
        finally:
            self._pubsub = None

    def _wake(self, channel: str, kind: str) -> None:
        if kind == "subscribe" and channel in self._wanted:
            self._wanted[channel].set()
        self._pending[channel] = None  # several wake-ups need one read only
        self._has_pending.set()


_backend: PubSubBackend | None = None
_broadcast: Broadcast | None = None
_lock = asyncio.Lock()
"""Broadcaster loses subscribers when two subscribe at the same time, or when one subscribes while
the last one unsubscribes."""


@asynccontextmanager
async def subscribed(channel: str) -> AsyncIterator[asyncio.Event]:
    """Yields an event that is set whenever the live channel may have new entries."""
    wakeup = asyncio.Event()
    stack = AsyncExitStack()
    name = pubsub_channel(channel)
    async with _lock:
        backend, broadcast = await _connected()
        subscriber = await stack.enter_async_context(broadcast.subscribe(name))

    async def set_wakeup() -> None:
        # Takes each wake-up at once, so that broadcaster's unbounded queue stays empty.
        while await subscriber.get():
            wakeup.set()

    task = asyncio.create_task(set_wakeup())
    try:
        await backend.confirmed(name)
        yield wakeup
    finally:
        task.cancel()
        async with _lock:
            await stack.aclose()


async def dispose() -> None:
    """Closes this process's wake-up connection."""
    global _backend, _broadcast
    if _broadcast is not None:
        with suppress(RedisError, OSError):
            await _broadcast.disconnect()
        _backend = _broadcast = None


async def _connected() -> tuple[PubSubBackend, Broadcast]:
    global _backend, _broadcast
    if _backend is None or _broadcast is None:
        _backend = PubSubBackend()
        _broadcast = Broadcast(backend=_backend)
        await _broadcast.connect()
    return _backend, _broadcast
