"""Dead letters on Kafka: a topic of their own, in which a replay adds a record that cancels one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from subgraphs.kernel.streams.interface import DeadLetter
from subgraphs.kernel.streams.kafka.cluster import Cluster

_Ends = tuple[dict[int, int], dict[int, int]]
_Records = dict[tuple[int, int], Any]
"""Records by partition and offset."""

_REPLAYED = "replayed"
"""Header of a cancelling record: the offset of the dead letter that was replayed."""


def dead_letter_topic(topic: str) -> str:
    return f"{topic}.dead"


class DeadLetters:
    """The dead letters of all topics of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._read: dict[str, tuple[_Ends, _Records]] = {}
        """What the last read found, by topic; current while the topic's ends are the same."""

    async def list(self, topic: str, limit: int) -> list[DeadLetter]:
        """Returns at most `limit` dead letters that were not replayed."""
        found = await self._records(topic)
        return [_letter(record) for record in found.values()][:limit]

    async def counts(self, topic: str) -> dict[int, int]:
        """Returns the number of dead letters by partition; partitions without any are left out."""
        counts: dict[int, int] = {}
        for part, _ in await self._records(topic):
            counts[part] = counts.get(part, 0) + 1
        return counts

    async def replay(self, topic: str, letters: Sequence[DeadLetter]) -> int:
        """Appends dead letters to their topic again; returns how many still existed.

        A crash between the two appends may replay one twice; consumers deduplicate by event ID.
        """
        found = await self._records(topic)
        replayed = 0
        for letter in letters:
            part, offset = map(int, letter.id.split(":"))
            record = found.get((part, offset))
            if record is None:
                continue
            message = {"key": record.key, "value": record.value, "headers": []}
            await self._cluster.produce(topic, {part: [message]})
            headers = [(_REPLAYED, str(offset).encode())]
            cancelling = {"key": record.key, "value": b"", "headers": headers}
            await self._cluster.produce(dead_letter_topic(topic), {part: [cancelling]})
            replayed += 1
        return replayed

    async def delete(self, topic: str, *, before: datetime) -> None:
        """Deletes the entries that were dead-lettered before a time."""
        name = dead_letter_topic(topic)
        await self._cluster.delete_before(name, await self._cluster.offsets_at(name, before))

    async def _records(self, topic: str) -> _Records:
        """Returns the records of the dead letters that were not replayed."""
        name = dead_letter_topic(topic)
        ends = await self._cluster.ends(name)
        read_at, letters = self._read.get(topic, (({}, {}), {}))
        if read_at == ends:
            return letters
        found: _Records = {}
        for part, records in (await self._cluster.records_from(name, ends[0])).items():
            for record in records:
                headers = dict(record.headers)
                if _REPLAYED in headers:
                    found.pop((part, int(headers[_REPLAYED])), None)
                else:
                    found[part, record.offset] = record
        self._read[topic] = ends, found
        return found


def _letter(record: Any) -> DeadLetter:
    headers = {name: value.decode() for name, value in record.headers}
    return DeadLetter(
        id=f"{record.partition:02}:{record.offset}",
        body=record.value,
        entry_id=headers["id"],
        reason=headers["reason"],
        detail=headers["detail"],
    )
