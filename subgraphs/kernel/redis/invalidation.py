"""Caches that are told: who changes something says so, and every process forgets what it knew.

    await invalidation.publish(Changed("session", session_id))     # after the commit
    async with invalidation.subscribed(cache.forget): ...            # all that is announced

A process may die between its commit and its word, so what is cached also has its few seconds.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple, get_args
from uuid import UUID

from redis.asyncio.client import PubSub

from subgraphs.kernel import cancellation, redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import Viewer

log = logging.getLogger(__name__)

_CHANNEL = "changed"
_POLL_SECONDS = 5.0
_PAUSE_SECONDS = 0.2

Kind = Literal["session", "user", "site"]


class Change(NamedTuple):
    """A session that ended, or a user's memberships or a site's limits that changed."""

    kind: Kind
    id: UUID

    def is_of(self, viewer: Viewer) -> bool:
        """Whether it may change what a viewer may see."""
        return self.id in (viewer.session_id, viewer.id)


Invalidate = Callable[[Change | None], None]
"""What a cache does with it; None: something may have been missed, forget everything."""


async def publish(*changes: Change) -> None:
    """Have all processes forget. A miss costs the few seconds that caches keep things anyway."""
    try:
        async with redis.client().pipeline(transaction=False) as pipe:
            for change in changes:
                pipe.publish(_CHANNEL, f"{change.kind}:{change.id}")
            await pipe.execute()
    except Exception as error:  # the change itself is committed: nobody should be told it failed
        log.warning("could not announce %s: %r", changes, error)


@asynccontextmanager
async def subscribed(*caches: Invalidate) -> AsyncIterator[None]:
    """Tell these caches of every change meanwhile, and after each gap in the listening."""
    listener = asyncio.create_task(_listen(caches))
    try:
        yield
    finally:
        await cancellation.cancel_and_wait(listener)


async def _listen(caches: tuple[Invalidate, ...]) -> None:
    while True:
        client = redis.connect(settings().redis_url)
        try:
            # A connection is used until it breaks: one that mends itself hides that it missed some.
            async with client.pubsub() as pubsub:
                await _serve(pubsub, caches)
        except Exception as error:  # whatever broke it, the next connection is a new one
            log.warning("changes: %r; listening anew", error)
        finally:
            await client.aclose()
        await asyncio.sleep(_PAUSE_SECONDS)


async def _serve(pubsub: PubSub, caches: tuple[Invalidate, ...]) -> None:
    await pubsub.subscribe(_CHANNEL)
    while True:
        message = await pubsub.get_message(timeout=_POLL_SECONDS)
        if message is None:
            await pubsub.ping()  # a half-open connection would be silent for ever
        elif message["type"] in ("subscribe", "message"):
            change = _read(message["data"]) if message["type"] == "message" else None
            for forget in caches:
                forget(change)


def _read(data: bytes) -> Change | None:
    """What was announced; what cannot be read may mean anything."""
    kind, _, id_ = data.decode(errors="replace").partition(":")
    try:
        known: Kind = next(name for name in get_args(Kind) if name == kind)
        return Change(known, UUID(id_))
    except (StopIteration, ValueError):
        log.warning("changes: %r is not understood", data)
        return None
