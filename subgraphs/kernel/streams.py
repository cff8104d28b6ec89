"""The event stream behind a small interface: append, consume as a group, acknowledge, bury.

    streams = event_streams.streams()
    await streams.append("events", [Record(key=site_id, id=event_id, body=b"…")])
    consumer = streams.consumer("events", group="ledger")
    entries = await consumer.read(limit=500, wait=1.0)
    ...
    await consumer.ack(entries)

What `append` has answered is on disk. A group gets every entry at least once and in order, after a
crash too: of a group's consumers one at a time holds the topic while the others stand by, and
whoever takes over is first given what was delivered and never acknowledged.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

MAX_DELIVERIES = 10
"""An entry that was given out this often and never acknowledged kills whoever takes it."""


class Record(NamedTuple):
    """What is appended. Records of one `key` keep their order."""

    key: str
    id: str
    """Unique under its key; `append_once` decides by it."""
    body: bytes


class Entry(NamedTuple):
    """A record as a consumer gets it; `id` is its place in the topic."""

    id: str
    body: bytes
    deliveries: int


class Lag(NamedTuple):
    """How far a group is behind."""

    waiting: int
    """Not yet given to a consumer."""
    pending: int
    """Given, not yet acknowledged."""
    oldest_pending: str | None
    dead: int
    """Buried in the topic's dead letters."""


class Consumer(Protocol):
    """One member of a group."""

    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        """The next entries, none after `wait` seconds without any or while standing by.

        An entry past `MAX_DELIVERIES` is buried instead.
        """

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        """Have these not given out again.

        Args:
            dropped: why an entry had no effect, by its id; counted with its acknowledgement, so
                that an entry seen twice counts once.
        """

    async def bury(self, entry: Entry, reason: str, detail: str) -> None:
        """Move an entry to `<topic>:dead`, where it stays until somebody looks at it."""

    async def trim(self) -> None:
        """Let go of the entries that every group has acknowledged."""

    async def leave(self) -> None:
        """Let the next consumer take over at once."""


class Streams(Protocol):
    """Where topics live."""

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        """Append all or none; they are durable when this returns."""

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        """Append those whose id was not seen lately; says which ones were new."""

    def consumer(self, topic: str, group: str) -> Consumer:
        """A new member of the group."""

    async def lag(self, topic: str, group: str) -> Lag: ...

    async def drops(self, topic: str) -> dict[str, int]:
        """How many entries had no effect, by reason."""

    async def ping(self) -> None:
        """Answer if the store does; raises what the driver raises otherwise."""

    async def close(self) -> None:
        """Let go of the store."""
