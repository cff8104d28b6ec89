"""A cache in Redis that is told of changes: what was read before one is never taken after it.

    wordings = Cached("wordings", seconds=60)
    found = await wordings.get(site_ids, load)
    await wordings.outdate(site_id)             # after the commit

An entry carries its key's version from before it was read, and a change counts the version up; so
what a slow reader puts there is of no use to anybody.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from redis.exceptions import RedisError

from subgraphs.kernel import redis

log = logging.getLogger(__name__)

_VERSION_SECONDS = 24 * 60 * 60
"""How long a version is remembered: much longer than any entry made under it."""


class VersionedCache:
    """Bytes by id.

    Args:
        name: tells its keys from those of other caches.
        seconds: how long an entry stays; the most that a change can cost whose writer died between
            its commit and its `outdate`.
    """

    def __init__(self, name: str, *, seconds: int) -> None:
        self._name = name
        self._seconds = seconds

    async def get(
        self,
        ids: Collection[UUID],
        load: Callable[[Collection[UUID]], Awaitable[Mapping[UUID, bytes]]],
    ) -> dict[UUID, bytes]:
        """What there is of these ids; one round trip, and one `load` for all that are missing.

        Args:
            load: answers for each of the ids it is given.
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
        """Let nobody take what was read before now."""
        try:
            async with redis.client().pipeline(transaction=True) as pipe:
                pipe.incr(self._version(id_))
                pipe.expire(self._version(id_), _VERSION_SECONDS)
                await pipe.execute()
        except (RedisError, OSError) as error:  # the change is committed and must not seem to fail
            log.warning("%s of %s may be old for %d s: %r", self._name, id_, self._seconds, error)

    async def _put(self, entries: Mapping[UUID, bytes]) -> None:
        async with redis.client().pipeline(transaction=False) as pipe:
            for id_, entry in entries.items():
                pipe.set(self._entry(id_), entry, ex=self._seconds)
            await pipe.execute()

    def _version(self, id_: UUID) -> str:
        return f"{self._name}:version:{id_}"

    def _entry(self, id_: UUID) -> str:
        return f"{self._name}:{id_}"
