"""What one member has in hand of one partition.

A group's place moves past an entry when that one and all before it are acknowledged. What was
acknowledged beyond one that is not, and what is to be said of it, waits here until then.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from subgraphs.kernel.redis.scripts import Arguments
from subgraphs.kernel.streams.redis.names import place_in


class Letter(NamedTuple):
    """An entry that is to be buried, as the dead letters have it."""

    body: bytes
    id: str
    reason: str
    detail: str


class Commit(NamedTuple):
    """A move of the group's place, and what is said of the entries it passes."""

    place: str
    passed: int
    drops: Mapping[str, int]
    letters: tuple[Letter, ...]

    def arguments(self) -> Arguments:
        drops = [part for drop in self.drops.items() for part in drop]
        letters = [part for letter in self.letters for part in letter]
        return [self.place, self.passed, len(self.drops), *drops, *letters]


class Hand:
    """Entries, by their ids in the order of the stream.

    Attributes:
        after: the place of the last one that was given out; empty before the first.
    """

    def __init__(self) -> None:
        self.after = ""
        self._order: deque[str] = deque()
        self._open: set[str] = set()
        self._said: dict[str, str | Letter] = {}
        self._asked: Commit | None = None

    def __bool__(self) -> bool:
        """Whether there is anything that the group's place has not passed."""
        return bool(self._order) or self._asked is not None

    def give(self, ids: Sequence[str]) -> None:
        self._order.extend(ids)
        self._open.update(ids)
        self.after = place_in(ids[-1])

    def done(self, ids: Iterable[str], dropped: Mapping[str, str]) -> None:
        if dropped:
            for id_ in self._open.intersection(ids).intersection(dropped):
                self._said[id_] = dropped[id_]
        self._open.difference_update(ids)

    def dead_letter(self, letter: Letter) -> bool:
        """Whether it was in hand."""
        if letter.id not in self._open:
            return False
        self._said[letter.id] = letter
        self._open.discard(letter.id)
        return True

    def commit(self) -> Commit | None:
        """Where the place may move to, if anywhere. The same until it is settled: whether one that
        was not answered has been done is not known, and what it says must not count twice."""
        if self._asked is None:
            passed = []
            while self._order and self._order[0] not in self._open:
                passed.append(self._order.popleft())
            if passed:
                self._asked = self._commit_of(passed)
        return self._asked

    def settled(self) -> None:
        self._asked = None

    def _commit_of(self, passed: list[str]) -> Commit:
        said = [self._said.pop(id_) for id_ in passed if id_ in self._said] if self._said else []
        return Commit(
            place=place_in(passed[-1]),
            passed=len(passed),
            drops=Counter(one for one in said if isinstance(one, str)),
            letters=tuple(one for one in said if isinstance(one, Letter)),
        )
