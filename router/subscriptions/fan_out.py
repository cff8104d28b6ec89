"""Writes a feed's new results to all its live subscribers: encoded once, one write for many.

No subscriber has a task or a queue. Results that arrive in one turn of the event loop, or while the
previous ones are being written, go out together.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from router.subscriptions.cursors import Cursor
from router.subscriptions.result_buffer import BATCH_SIZE, ResultBuffer

_SLICE = 500
"""Subscribers in one turn of the event loop: some 3 ms, so that other feeds go on between."""

_Encode = Callable[[bytes, int], bytes]


class Connection(Protocol):
    """A subscriber's connection."""

    is_paused: bool

    def write(self, data: bytes) -> None:
        """Writes without waiting."""


class Subscriber(Protocol):
    """A subscriber that takes results as they happen; `Operation` describes the attributes."""

    position: int
    after: Cursor | None
    encode: _Encode
    suffix: bytes

    @property
    def connection(self) -> Connection: ...

    def fail(self, error: Exception) -> None:
        """Ends the subscriber with this error."""


class SlowSubscriber(Exception):
    """The subscriber reads too slowly. It can resume with the last cursor it received."""


class FanOut:
    """The live subscribers of one feed.

    Args:
        buffer: the feed's results. A subscriber falls behind while its client is slow.
    """

    def __init__(self, buffer: ResultBuffer) -> None:
        self._buffer = buffer
        self._subscribers: dict[Subscriber, None] = {}
        self._written = 0
        """The position up to which the last completed round has written."""
        self._is_scheduled = False
        self._encoded: dict[tuple[_Encode, int, int], list[bytes]] = {}
        """Encoded results up to `_encoded_end`, by encoder, suffix length and first position."""
        self._encoded_end = 0

    def attach(self, subscriber: Subscriber) -> None:
        """Writes to this subscriber what comes after its position."""
        self._subscribers[subscriber] = None

    def detach(self, subscriber: Subscriber) -> None:
        """Writes to this subscriber no more."""
        self._subscribers.pop(subscriber, None)

    def schedule(self) -> None:
        """Has new results written in the loop's next turn; at once if many wait."""
        if not self._subscribers:
            self._written = self._buffer.end
        elif self._buffer.end - self._written >= BATCH_SIZE:
            self.flush()
        elif not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._start_round)

    def flush(self) -> None:
        """Writes to all subscribers now."""
        self.write_results(tuple(self._subscribers))
        self._written = self._buffer.end

    def fail(self, error: Exception) -> None:
        """Writes what is left, then ends all subscribers with this error."""
        self.flush()
        for subscriber in tuple(self._subscribers):
            subscriber.fail(error)

    def deliver(self, subscriber: Subscriber) -> None:
        """Writes to one subscriber until it has all results or its client is slow."""
        buffer = self._buffer
        while subscriber.position < buffer.end and not subscriber.connection.is_paused:
            if subscriber.position < buffer.first:
                subscriber.fail(SlowSubscriber())
                return
            results = buffer.batch_from(subscriber.position)
            subscriber.position += len(results)
            if subscriber.after is not None:
                results = [result for result in results if result.cursor > subscriber.after]
            if results:
                subscriber.after = None
                length = len(subscriber.suffix)
                encoded = [subscriber.encode(result.payload, length) for result in results]
                subscriber.connection.write(subscriber.suffix.join([*encoded, b""]))

    def _start_round(self) -> None:
        self._run_slice(tuple(self._subscribers), 0)

    def _run_slice(self, subscribers: tuple[Subscriber, ...], start: int) -> None:
        """Writes to some subscribers, and schedules the others, then a round for newer results."""
        self.write_results(subscribers[start : start + _SLICE])
        loop = asyncio.get_running_loop()
        if start + _SLICE < len(subscribers):
            loop.call_soon(self._run_slice, subscribers, start + _SLICE)
            return
        if len(subscribers) <= _SLICE:
            self._written = self._buffer.end
        if self._written < self._buffer.end and self._subscribers:
            self._written = self._buffer.end
            loop.call_soon(self._start_round)
        else:
            self._is_scheduled = False

    def write_results(self, subscribers: tuple[Subscriber, ...]) -> None:
        buffer, attached = self._buffer, self._subscribers
        first, end = buffer.first, buffer.end
        last: tuple[int, _Encode | None, bytes] = (-1, None, b"")
        chunk = b""
        for subscriber in subscribers:
            position, connection = subscriber.position, subscriber.connection
            if position == end or connection.is_paused or subscriber not in attached:
                continue
            if position < first or end - position > BATCH_SIZE:
                self.deliver(subscriber)
                continue
            if subscriber.after is not None:
                if buffer.cursor_at(position) <= subscriber.after:
                    self.deliver(subscriber)
                    continue
                subscriber.after = None
            wanted = (position, subscriber.encode, subscriber.suffix)
            if wanted != last:
                chunk = subscriber.suffix.join(self._parts(position, end, subscriber))
                last = wanted
            subscriber.position = end
            connection.write(chunk)

    def _parts(self, position: int, end: int, subscriber: Subscriber) -> list[bytes]:
        """Returns the encoded results without their suffixes, and an empty string for the last.

        Clients choose their ids, often random ones of equal length, which the frames differ by.
        """
        if end != self._encoded_end:
            self._encoded.clear()
            self._encoded_end = end
        key = (subscriber.encode, len(subscriber.suffix), position)
        parts = self._encoded.get(key)
        if parts is None:
            encode, length = subscriber.encode, len(subscriber.suffix)
            results = self._buffer.batch_from(position)
            parts = [*(encode(result.payload, length) for result in results), b""]
            self._encoded[key] = parts
        return parts
