"""Publishing to a live channel, once for each id, and following it without a gap."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from redis.exceptions import RedisError

from subgraphs.kernel import cancellation, redis
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.live.wakes import wake_channel, woken
from subgraphs.kernel.redis.scripts import Call, Script, run

log = logging.getLogger(__name__)

BUFFERED = 10_000
"""Entries a channel keeps, about. A cursor older than all of them goes on at the oldest."""

_REMEMBERED = timedelta(days=7)
"""How long an id that is published again gets its old cursor."""

_READ_COUNT = 200
_LOOK_AGAIN_SECONDS = 5.0
"""A follower looks by itself so often, should a wake be lost with the server that sent it."""

_CURSOR = re.compile(r"[0-9]{1,15}-[0-9]{1,9}")

# KEYS: the channel, the id's marker. ARGV: the id, the data, the marker's seconds, the bound.
_PUBLISH = Script("""
local known = redis.call('GET', KEYS[2])
if known then return known end
local cursor = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'id', ARGV[1],
                          'data', ARGV[2])
redis.call('SET', KEYS[2], cursor, 'EX', ARGV[3])
return cursor
""")


class Message(NamedTuple):
    """What is to be published; `data` is what GraphQL shows, in camelCase."""

    channel: str
    id: UUID
    data: dict[str, Any]


class Entry(NamedTuple):
    """What was published; `cursor` is its place in the channel."""

    cursor: str
    id: UUID
    data: dict[str, Any]


def claims_of(site_id: UUID) -> str:
    """The channel of a site's claims. The braces keep a site's keys on one node of a cluster."""
    return f"live:{{{site_id}}}"


def activity_of(site_id: UUID) -> str:
    """The channel of what happens at a site, for its dashboards."""
    return f"activity:{{{site_id}}}"


async def publish(channel: str, id_: UUID, data: dict[str, Any]) -> str:
    """Publish one message; returns its cursor, the first one where the id was published before."""
    (cursor,) = await publish_all([Message(channel, id_, data)])
    return cursor


async def publish_all(messages: Sequence[tuple[str, UUID, dict[str, Any]]]) -> list[str]:
    """Publish in order, then wake those who follow; returns the cursors."""
    if not messages:
        return []
    bounds = int(_REMEMBERED.total_seconds()), BUFFERED
    calls = [
        Call([channel, f"{channel}:{id_}"], [str(id_), msgspec.json.encode(data), *bounds])
        for channel, id_, data in messages
    ]
    cursors = await run(redis.client(), _PUBLISH, calls)
    async with redis.client().pipeline(transaction=False) as pipe:
        for channel in dict.fromkeys(channel for channel, _, _ in messages):
            pipe.publish(wake_channel(channel), "")
        await pipe.execute()
    return [cursor.decode() for cursor in cursors]


async def subscribe(channel: str, after: str | None = None) -> AsyncGenerator[Entry, None]:
    """The channel's entries after a cursor, or from now on; it never ends by itself.

    Outlives breaks of the connection and restarts of Redis.

    Raises:
        BadUserInput: `after` is no cursor.
    """
    if after is not None and not _CURSOR.fullmatch(after):
        raise BadUserInput("`after` must be a cursor that a message carried.")
    # First the wake, then the look: what comes in between is seen.
    async with woken(channel) as look:
        cursor = after if after is not None else await _last(channel)
        while True:
            look.clear()
            entries = await _read(channel, cursor)
            cancellation.raise_if_cancelled()
            for entry in entries:
                yield entry
                cursor = entry.cursor
            if not entries:
                await _woken_or_bored(look)


async def trim(site_ids: Collection[UUID], *, before: datetime) -> None:
    """Let go of what was published in these sites' channels before a moment."""
    oldest = str(round(before.timestamp() * 1000))
    async with redis.client().pipeline(transaction=False) as pipe:
        for site_id in site_ids:
            for channel in (claims_of(site_id), activity_of(site_id)):
                pipe.xtrim(channel, minid=oldest, approximate=False)
        await pipe.execute()


async def _read(channel: str, cursor: str) -> list[Entry]:
    try:
        # Any: redis-py types replies as if they might be text or nothing; ours are bytes.
        found: Any = await redis.client().xrange(channel, min=f"({cursor}", count=_READ_COUNT)
    except (RedisError, OSError) as error:
        log.warning("%s: %s; reading again", channel, error)
        return []
    return [
        Entry(id_.decode(), UUID(fields[b"id"].decode()), msgspec.json.decode(fields[b"data"]))
        for id_, fields in found
    ]


async def _last(channel: str) -> str:
    newest: Any = await redis.client().xrevrange(channel, count=1)
    return str(newest[0][0].decode()) if newest else "0-0"


async def _woken_or_bored(look: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
            await look.wait()
    except TimeoutError:
        return
