"""Group commit: one append to the stream for many requests.

A durable append costs one fsync for one record or for hundreds, so under load the throughput
depends on the group size. A lone request is appended at the end of the current turn of the event
loop. While an append is in flight, further requests wait until they make a group worth an append of
its own, or until the append is done. While the store hangs, waiting requests fail after a limit.
"""

import asyncio
from bisect import bisect
from collections.abc import Sequence
from typing import Protocol

import structlog

from subgraphs.kernel.streams.interface import Record, Streams

log = structlog.stdlib.get_logger(__name__)

MAX_GROUP = 500
"""Records of one append. A request is never split: all of its records are stored or none is."""

MIN_GROUP_IN_FLIGHT = 48
"""Records that are appended while another append is in flight: from this size on, a group's fixed
cost is below that of its records."""


MAX_WAITING = 20_000
"""Records: about a second's work, and some 50 MB. Beyond it, requests fail at once."""

_CHECKS = 4
"""Checks of the waiting requests per time limit."""


class Append(Protocol):
    """The records of one request. It is called back: a future each would cost more than the
    records do."""

    records: list[Record]
    since: float
    """When the request came, in seconds of the loop's clock."""

    def complete(self, outcome: Sequence[bool] | Exception) -> None:
        """Receive which records were new, or the error of the append."""


class GroupCommit:
    """`append_once` to one topic, for many requests at a time.

    Args:
        seconds: how long a request may wait for its append to begin.
    """

    def __init__(self, streams: Streams, topic: str, *, seconds: float) -> None:
        self._streams = streams
        self._topic = topic
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Append] = []
        self._waiting_records = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._is_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        """One for all waiting requests: a timer each would cost more than the records do."""

    def append_once(self, append: Append) -> None:
        """Append the records together with all others of this turn of the event loop."""
        if self._waiting_records > MAX_WAITING:
            error = TimeoutError(f"{self._waiting_records} records wait for the store")
            _complete(append, error)
            return
        self._waiting.append(append)
        self._waiting_records += len(append.records)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._is_scheduled = False
        while self._waiting and len(self._in_flight) < self._streams.appends_at_once:
            if self._in_flight and self._waiting_records < MIN_GROUP_IN_FLIGHT:
                break
            # Appends are written in the order in which they start: a key's records keep theirs.
            task = self._loop.create_task(self._append(self._next_group()))
            self._in_flight.add(task)
            task.add_done_callback(self._append_done)
        if self._waiting and self._timer is None:
            self._timer = self._loop.call_later(self._seconds / _CHECKS, self._fail_late)

    def _append_done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._send()

    def _fail_late(self) -> None:
        """Fail the requests that have waited too long; the oldest are first in the list."""
        self._timer = None
        limit = self._loop.time() - self._seconds
        count = bisect(self._waiting, limit, key=lambda append: append.since)
        late, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_records -= sum(len(append.records) for append in late)
        for append in late:
            _complete(append, TimeoutError(f"the store was busy for {self._seconds:g} s"))
        if self._waiting:
            self._timer = self._loop.call_later(self._seconds / _CHECKS, self._fail_late)

    async def _append(self, group: list[Append]) -> None:
        records = [record for append in group for record in append.records]
        try:
            new = await self._streams.append_once(self._topic, records)
        except Exception as error:  # the outcome is unknown: clients send again, ids deduplicate
            for append in group:
                _complete(append, error)
            return
        start = 0
        for append in group:
            end = start + len(append.records)
            _complete(append, new[start:end])
            start = end

    def _next_group(self) -> list[Append]:
        size = 0
        for count, append in enumerate(self._waiting):
            if count and size + len(append.records) > MAX_GROUP:
                break
            size += len(append.records)
        else:
            count = len(self._waiting)
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_records -= size
        return group


def _complete(append: Append, outcome: Sequence[bool] | Exception) -> None:
    """Call one request back; its failure must not affect the others of the group."""
    try:
        append.complete(outcome)
    except Exception:
        log.exception("append_callback_failed")
