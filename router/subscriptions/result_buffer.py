"""A bounded buffer of the latest results, addressed by position and by cursor."""

from collections import deque
from itertools import islice

from router.subscriptions.cursors import Cursor
from router.subscriptions.subgraph_client import Result

BUFFER_RESULTS = 1_000
"""How many results a subscriber may fall behind before it is ended."""

BUFFER_BYTES = 4 * 1024 * 1024

BATCH_SIZE = 100
"""Results per batch: enough to save time, few enough to wait for the client's socket between."""


class ResultBuffer:
    """The latest results of a feed. Positions count from the feed's start.

    Attributes:
        first: the position of the oldest buffered result.
        floor: the cursor before the oldest buffered result.
    """

    def __init__(self, start: Cursor) -> None:
        self._results: deque[Result] = deque()
        self._bytes = 0
        self.first = 0
        self.floor = start

    @property
    def end(self) -> int:
        """The position of the next result."""
        return self.first + len(self._results)

    @property
    def last_cursor(self) -> Cursor | None:
        """The newest result's cursor; None while the buffer is empty."""
        return self._results[-1].cursor if self._results else None

    @property
    def is_full(self) -> bool:
        """Whether the buffer has no room for one more result of usual size."""
        return len(self._results) >= BUFFER_RESULTS or self._bytes >= BUFFER_BYTES

    def append(self, result: Result) -> None:
        """Adds the newest result; drops the oldest ones over the limits."""
        self._results.append(result)
        self._bytes += len(result.payload)
        while self._exceeds_limits and len(self._results) > 1:
            oldest = self._results.popleft()
            self._bytes -= len(oldest.payload)
            self.floor = oldest.cursor
            self.first += 1

    def position_after(self, cursor: Cursor) -> int | None:
        """Returns the position of the result after a cursor; None if the buffer cannot tell.

        A result may be a list of events, and each connection to the subgraph cuts its own lists. A
        subscriber can therefore join the buffer only where one of its results ends.
        """
        if cursor == self.floor:
            return self.first
        ends = (n for n, result in enumerate(self._results, 1) if result.cursor == cursor)
        end = next(ends, None)
        return None if end is None else self.first + end

    def batch_from(self, position: int) -> list[Result]:
        """Returns at most `BATCH_SIZE` results from a position on."""
        start = position - self.first
        return list(islice(self._results, start, start + BATCH_SIZE))

    def cursor_at(self, position: int) -> Cursor:
        """Returns the cursor of the result at a position."""
        return self._results[position - self.first].cursor

    @property
    def _exceeds_limits(self) -> bool:
        return len(self._results) > BUFFER_RESULTS or self._bytes > BUFFER_BYTES
