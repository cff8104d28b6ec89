"""The entries of one partition that a member received and the group has not passed yet.

The group's offset passes an entry when that entry and all before it are acknowledged. Until then,
acknowledgements beyond an unacknowledged entry wait here, with their drop reasons and dead letters.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from subgraphs.kernel.redis.scripts import Arguments
from subgraphs.kernel.streams.redis.names import stream_id_in


class Letter(NamedTuple):
    """An entry to dead-letter, with the fields of a dead letter."""

    body: bytes
    id: str
    reason: str
    detail: str


class Commit(NamedTuple):
    """A move of the group's offset, with the drops and dead letters of the entries it passes."""

    offset: str
    passed: int
    drops: Mapping[str, int]
    letters: tuple[Letter, ...]

    def arguments(self) -> Arguments:
        """Returns the arguments that the script `offsets.COMMIT` expects after the member."""
        drops = [part for drop in self.drops.items() for part in drop]
        letters = [part for letter in self.letters for part in letter]
        return [self.offset, self.passed, len(self.drops), *drops, *letters]


class InFlight:
    """Entry IDs in stream order.

    Attributes:
        after: stream ID of the last entry received; empty before the first.
    """

    def __init__(self) -> None:
        self.after = ""
        self._order: deque[str] = deque()
        self._open: set[str] = set()
        """The unacknowledged entries of `_order`."""
        self._outcomes: dict[str, str | Letter] = {}
        """Drop reason or dead letter of an acknowledged entry that the offset has not passed."""
        self._commit: Commit | None = None

    def __bool__(self) -> bool:
        """Whether the group's offset has entries left to pass."""
        return bool(self._order) or self._commit is not None

    def add(self, ids: Sequence[str]) -> None:
        """Adds entries that were received."""
        self._order.extend(ids)
        self._open.update(ids)
        self.after = stream_id_in(ids[-1])

    def acknowledge(self, ids: Iterable[str], dropped: Mapping[str, str]) -> None:
        """Marks entries as acknowledged; `dropped` holds drop reasons by entry ID."""
        if dropped:
            for id_ in self._open.intersection(ids).intersection(dropped):
                self._outcomes[id_] = dropped[id_]
        self._open.difference_update(ids)

    def dead_letter(self, letter: Letter) -> bool:
        """Marks an entry as dead-lettered; returns whether it was unacknowledged."""
        if letter.id not in self._open:
            return False
        self._outcomes[letter.id] = letter
        self._open.discard(letter.id)
        return True

    def next_commit(self) -> Commit | None:
        """Returns the next move of the offset, or None if the first entry is unacknowledged.

        Returns the same commit until `commit_done`: the server may have executed a commit whose
        reply was lost, and the drops of its entries must not count twice.
        """
        if self._commit is None:
            passed = []
            while self._order and self._order[0] not in self._open:
                passed.append(self._order.popleft())
            if passed:
                self._commit = self._commit_of(passed)
        return self._commit

    def commit_done(self) -> None:
        """Records that the server has answered the commit."""
        self._commit = None

    def _commit_of(self, passed: list[str]) -> Commit:
        outcomes = []
        if self._outcomes:  # rare: most batches neither drop nor dead-letter
            outcomes = [self._outcomes.pop(id_) for id_ in passed if id_ in self._outcomes]
        return Commit(
            offset=stream_id_in(passed[-1]),
            passed=len(passed),
            drops=Counter(one for one in outcomes if isinstance(one, str)),
            letters=tuple(one for one in outcomes if isinstance(one, Letter)),
        )
