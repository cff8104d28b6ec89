"""Redis cache with versioned invalidation.

    templates = VersionedCache("templates", seconds=60)
    found = await templates.get(site_ids, load)
    await templates.invalidate(site_id)         # after the commit

A value read before an invalidation is never served after it. Each entry carries its key's version
from before the value was loaded, and an invalidation increments the version. So a slow reader that
stores an outdated value stores it under an outdated version.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from subgraphs.kernel import redis

log = structlog.stdlib.get_logger(__name__)

_VERSION_SECONDS = 24 * 60 * 60
"""Lifetime of a version: much longer than that of any entry stored under it."""


class VersionedCache:
    """Bytes by ID.

    Args:
        name: prefix of this cache's keys.
        seconds: lifetime of an entry. An outdated value is served for at most this long if a writer
            dies between its commit and its `invalidate`.
    """

    def __init__(self, name: str, *, seconds: int) -> None:
        self._name = name
        self._seconds = seconds

    async def get(
        self,
        ids: Collection[UUID],
        load: Callable[[Collection[UUID]], Awaitable[Mapping[UUID, bytes]]],
    ) -> dict[UUID, bytes]:
        """Returns the values by ID, with one round trip and at most one `load`.

        Args:
            load: returns the values of all IDs that the cache does not have.
        """
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        keys = [self._version(id_) for id_ in wanted] + [self._entry(id_) for id_ in wanted]
        values: Any = await redis.client().mget(keys)
        versions = dict(zip(wanted, values[: len(wanted)], strict=True))
        found: dict[UUID, bytes] = {}
        for id_, entry in zip(wanted, values[len(wanted) :], strict=True):
            version, _, data = (entry or b"").partition(b":")
            if entry is not None and version == (versions[id_] or b"0"):
                found[id_] = data
        missing = [id_ for id_ in wanted if id_ not in found]
        if missing:
            loaded = await load(missing)
            await self._put({id_: (versions[id_] or b"0") + b":" + loaded[id_] for id_ in missing})
            found.update(loaded)
        return found

    async def invalidate(self, id_: UUID) -> None:
        """Invalidates what was read before now. An unavailable Redis is logged, not raised."""
        try:
            async with redis.client().pipeline(transaction=True) as pipe:
                pipe.incr(self._version(id_))
                pipe.expire(self._version(id_), _VERSION_SECONDS)
                await pipe.execute()
        except (RedisError, OSError) as error:  # the change is committed and must not seem to fail
            log.warning(
                "cache_invalidation_failed",
                cache=str(self._name),
                id=str(id_),
                outdated_for_s=self._seconds,
                error=repr(error),
            )

    async def _put(self, entries: Mapping[UUID, bytes]) -> None:
        async with redis.client().pipeline(transaction=False) as pipe:
            for id_, entry in entries.items():
                pipe.set(self._entry(id_), entry, ex=self._seconds)
            await pipe.execute()

    def _version(self, id_: UUID) -> str:
        return f"{self._name}:version:{id_}"

    def _entry(self, id_: UUID) -> str:
        return f"{self._name}:{id_}"
