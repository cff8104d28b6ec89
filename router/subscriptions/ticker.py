"""Calls many objects at a fixed interval each, spread evenly, by one timer for all."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

_SLOTS = 20
"""An interval is divided into so many turns. Each turn calls the objects of one slot."""


class Ticking(Protocol):
    """An object that a ticker calls."""

    def on_tick(self) -> None:
        """Does what is due; must not raise."""


class Ticker:
    """The timer of many objects. An idle connection needs no timer or task of its own.

    Args:
        seconds: returns the interval; is called at every turn.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._slots: list[set[Ticking]] = [set() for _ in range(_SLOTS)]
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[Ticking]:
        for slot in self._slots:
            yield from tuple(slot)

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def add(self, item: Ticking) -> None:
        """Calls this object from now on, for the first time within one interval."""
        self._slot_of(item).add(item)
        if self._timer is None:
            self._wait()

    def discard(self, item: Ticking) -> None:
        """Calls this object no more."""
        self._slot_of(item).discard(item)

    def stop(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _slot_of(self, item: Ticking) -> set[Ticking]:
        return self._slots[hash(item) % _SLOTS]

    def _wait(self) -> None:
        seconds = self._seconds() / _SLOTS
        self._timer = asyncio.get_running_loop().call_later(seconds, self._run_turn)

    def _run_turn(self) -> None:
        self._wait()
        self._turn = (self._turn + 1) % _SLOTS
        for item in tuple(self._slots[self._turn]):
            item.on_tick()
