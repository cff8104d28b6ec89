"""A small cache in front of a look-up."""

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Remembers what a look-up answered; a burst for one key costs one look-up.

    Args:
        load: the look-up. What it raises reaches all who wait for it and is not remembered.
        seconds: how long an answer is good for, from when its look-up began.
        entries: how many answers are held; the oldest make room.
    """

    def __init__(
        self, load: Callable[[K], Coroutine[Any, Any, V]], *, seconds: float, entries: int
    ) -> None:
        self._load = load
        self._seconds = seconds
        self._entries = entries
        self._held: dict[K, tuple[float, asyncio.Task[V]]] = {}

    async def get(self, key: K, *, fresh: bool = False) -> V:
        """The answer; a `fresh` one was looked up after this call."""
        now = monotonic()
        until, task = self._held.get(key, (0.0, None))
        if task is None or until <= now or fresh:
            task = self._begin(key, now)
        # Shielded: one client that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    def invalidate(self, concerns: Callable[[V], bool]) -> None:
        """Look up anew what concerns a change; a look-up under way may have missed it."""
        for key, (_, task) in list(self._held.items()):
            if not task.done() or task.cancelled() or task.exception() or concerns(task.result()):
                del self._held[key]

    def _begin(self, key: K, now: float) -> asyncio.Task[V]:
        self._held.pop(key, None)
        while len(self._held) >= self._entries:
            del self._held[next(iter(self._held))]
        task = asyncio.create_task(self._load(key))
        self._held[key] = (now + self._seconds, task)
        task.add_done_callback(lambda done: self._forget_failure(key, done))
        return task

    def _forget_failure(self, key: K, task: asyncio.Task[V]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and self._held.get(key, (0.0, None))[1] is task:
            del self._held[key]
