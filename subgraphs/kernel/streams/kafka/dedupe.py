"""Dedupe keys of the streams on Kafka, kept in Redis.

`append_once` searches the dedupe keys before it appends and adds them afterwards, never before: a
dedupe key without its record would lose an event. So an ID may be appended twice: while Redis is
unavailable, after a crash in between, and when two processes receive the ID at the same time. The
ledger stores it once by its primary key.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from subgraphs.kernel.redis.scripts import Arguments, Call, Script, run
from subgraphs.kernel.streams import dedupe
from subgraphs.kernel.streams.redis.append import ADD_DEDUPE_KEYS, FIND_DEDUPE_KEYS
from subgraphs.kernel.streams.redis.names import stream_of

log = structlog.stdlib.get_logger(__name__)

_PAUSE_SECONDS = 5.0
"""Time without a request to Redis after one failed."""

KeysByPartition = Mapping[int, Sequence[bytes]]


class DedupeKeys:
    """The dedupe keys of appended records. While Redis is unavailable, every ID counts as new."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._paused_until = 0.0

    async def find(self, topic: str, keys: KeysByPartition) -> set[bytes]:
        """Returns the dedupe keys that were added within the last 25 hours."""
        calls = []
        for part, chosen in keys.items():
            args: Arguments = list(chosen)
            calls.append(Call(dedupe.key_sets(stream_of(topic, part)), args))
        replies = await self._run(FIND_DEDUPE_KEYS, calls)
        return {
            key
            for chosen, reply in zip(keys.values(), replies, strict=False)
            for key, is_known in zip(chosen, reply, strict=True)
            if is_known
        }

    async def add(self, topic: str, keys: KeysByPartition) -> None:
        """Adds the dedupe keys of records that were appended."""
        calls = []
        for part, chosen in keys.items():
            args: Arguments = [dedupe.KEPT_SECONDS, *chosen]
            calls.append(Call(dedupe.key_sets(stream_of(topic, part))[:1], args))
        await self._run(ADD_DEDUPE_KEYS, calls)

    async def _run(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Returns the replies; [] while Redis is unavailable, as no event is refused for that."""
        if not calls or time.monotonic() < self._paused_until:
            return []
        try:
            return await run(self._client, script, calls)
        except (RedisError, OSError) as error:
            log.warning("dedupe_keys_unavailable", pause_s=_PAUSE_SECONDS, error=repr(error))
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            return []
