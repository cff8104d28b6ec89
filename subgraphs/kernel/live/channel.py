"""Publishes to a live channel, once per ID, and subscribes to it without a gap."""

import asyncio
import re
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import structlog
from redis.exceptions import RedisError

from subgraphs.kernel import cancellation, redis
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.live import wakeups
from subgraphs.kernel.redis.scripts import Call, Script, run

log = structlog.stdlib.get_logger(__name__)

BUFFERED = 10_000
"""Approximate number of entries that a channel keeps. A subscription with an older cursor begins at
the oldest entry."""

_DEDUPE_TIME = timedelta(days=7)
"""Time in which publishing an ID again returns its first cursor and publishes nothing."""

_READ_COUNT = 200
_POLL_SECONDS = 5.0
"""Time after which a subscriber reads without a wake-up, which a restart of Redis may have lost."""

_CURSOR = re.compile(r"[0-9]{1,15}-[0-9]{1,9}")

# Publishes an entry unless its ID was published before.
# KEYS: 1 the channel, 2 the ID's dedupe key. ARGV: 1 ID, 2 data, 3 lifetime of the dedupe key in
# seconds, 4 number of entries to keep. Returns the cursor of the ID's entry.
_PUBLISH = Script("""
local known = redis.call('GET', KEYS[2])
if known then return known end
local cursor = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'id', ARGV[1],
                          'data', ARGV[2])
redis.call('SET', KEYS[2], cursor, 'EX', ARGV[3])
return cursor
""")


class Message(NamedTuple):
    """A message to publish. `data` holds GraphQL's fields, in camelCase."""

    channel: str
    id: UUID
    data: dict[str, Any]


class Entry(NamedTuple):
    """A published message. `cursor` is its position in the channel."""

    cursor: str
    id: UUID
    data: dict[str, Any]


def claims_of(site_id: UUID) -> str:
    """Returns a site's claims channel. The braces keep a site's keys on one node of a cluster."""
    return f"live:{{{site_id}}}"


def activity_of(site_id: UUID) -> str:
    """Returns a site's channel of notification and visitor events, for its dashboards."""
    return f"activity:{{{site_id}}}"


async def publish(channel: str, id_: UUID, data: dict[str, Any]) -> str:
    """Publishes one message; returns its cursor, or the earlier one of the same ID."""
    (cursor,) = await publish_all([Message(channel, id_, data)])
    return cursor


async def publish_all(messages: Sequence[tuple[str, UUID, dict[str, Any]]]) -> list[str]:
    """Publishes messages in order, then wakes their channels' subscribers; returns the cursors."""
    if not messages:
        return []
    limits = int(_DEDUPE_TIME.total_seconds()), BUFFERED
    calls = [
        Call([channel, f"{channel}:{id_}"], [str(id_), msgspec.json.encode(data), *limits])
        for channel, id_, data in messages
    ]
    cursors = await run(redis.client(), _PUBLISH, calls)
    async with redis.client().pipeline(transaction=False) as pipe:
        for channel in dict.fromkeys(channel for channel, _, _ in messages):
            pipe.publish(wakeups.pubsub_channel(channel), "")
        await pipe.execute()
    return [cursor.decode() for cursor in cursors]


async def subscribe(channel: str, after: str | None = None) -> AsyncGenerator[Entry, None]:
    """Yields the channel's entries after a cursor, or new ones only; ends when it is closed.

    Continues after broken connections and restarts of Redis.

    Raises:
        BadUserInput: `after` is not a cursor.
    """
    if after is not None and not _CURSOR.fullmatch(after):
        raise BadUserInput("`after` must be a cursor that an earlier message carried.")
    # The wake-ups begin before the first read, so that no entry in between is missed.
    async with wakeups.subscribed(channel) as wakeup:
        cursor = after if after is not None else await _last(channel)
        while True:
            wakeup.clear()
            entries = await _read(channel, cursor)
            cancellation.raise_if_cancelled()
            for entry in entries:
                yield entry
                cursor = entry.cursor
            if not entries:
                await _wait_for(wakeup)


async def trim(site_ids: Collection[UUID], *, before: datetime) -> None:
    """Deletes what was published in the channels of these sites before a time."""
    oldest = str(round(before.timestamp() * 1000))
    async with redis.client().pipeline(transaction=False) as pipe:
        for site_id in site_ids:
            for channel in (claims_of(site_id), activity_of(site_id)):
                pipe.xtrim(channel, minid=oldest, approximate=False)
        await pipe.execute()


async def _read(channel: str, cursor: str) -> list[Entry]:
    try:
        # Any: redis-py types replies as text, bytes or None; here they are bytes.
        found: Any = await redis.client().xrange(channel, min=f"({cursor}", count=_READ_COUNT)
    except (RedisError, OSError) as error:
        log.warning("live_channel_not_read", channel=channel, error=str(error))
        return []
    return [
        Entry(id_.decode(), UUID(fields[b"id"].decode()), msgspec.json.decode(fields[b"data"]))
        for id_, fields in found
    ]


async def _last(channel: str) -> str:
    newest: Any = await redis.client().xrevrange(channel, count=1)
    return str(newest[0][0].decode()) if newest else "0-0"


async def _wait_for(wakeup: asyncio.Event) -> None:
    """Returns at a wake-up or when it is time to read without one."""
    try:
        async with asyncio.timeout(_POLL_SECONDS):
            await wakeup.wait()
    except TimeoutError:
        return
