"""An asynchronous look-up behind a `cachetools.TTLCache`."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from cachetools import TTLCache

K = TypeVar("K")
V = TypeVar("V")


class LookupCache(Generic[K, V]):
    """Caches the results of a look-up; concurrent requests for one key share one look-up.

    The cache holds tasks, so that a key is present as soon as its look-up starts.

    Args:
        load: the look-up. Its errors reach every waiting request and are not cached.
        ttl: seconds a result is valid for, counted from the start of its look-up.
        max_entries: results held at most; the least recently used one is evicted.
    """

    def __init__(
        self, load: Callable[[K], Coroutine[Any, Any, V]], *, ttl: float, max_entries: int
    ) -> None:
        self._load = load
        self._tasks: TTLCache[K, asyncio.Task[V], float] = TTLCache(max_entries, ttl)

    async def get(self, key: K, *, fresh: bool = False) -> V:
        """Returns the key's value; with `fresh`, from a look-up that starts after this call."""
        try:
            task = self._start(key) if fresh else self._tasks[key]
        except KeyError:
            task = self._start(key)
        # Shielded: a request that is cancelled must not cancel the look-up others wait for.
        return await asyncio.shield(task)

    def peek(self, key: K) -> V | None:
        """The cached value of a key; None if its look-up is not complete or has failed."""
        task = self._tasks.get(key)
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        return task.result()

    def invalidate(self, is_stale: Callable[[V], bool]) -> None:
        """Drops stale results, and look-ups in progress: those may have read the old state."""
        for key, task in list(self._tasks.items()):
            if not task.done() or task.cancelled() or task.exception() or is_stale(task.result()):
                self._tasks.pop(key, None)

    def _start(self, key: K) -> asyncio.Task[V]:
        task = asyncio.create_task(self._load(key))
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._drop_failure(key, done))
        return task

    def _drop_failure(self, key: K, task: asyncio.Task[V]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and self._tasks.get(key) is task:
            self._tasks.pop(key, None)
