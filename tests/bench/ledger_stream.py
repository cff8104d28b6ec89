"""The stream of the ledger's bench, and the workers that read it."""

from collections.abc import Sequence

import psutil

from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, Event, encode
from subgraphs.kernel.streams.interface import Record
from tests.fixtures.deadline import eventually
from tests.fixtures.processes import Process
from workers.stream.main import GROUP

APPEND_SIZE = 2000


async def append(events: Sequence[Event]) -> None:
    for start in range(0, len(events), APPEND_SIZE):
        records = [
            Record(str(event.site_id), str(event.id), encode(event))
            for event in events[start : start + APPEND_SIZE]
        ]
        await event_streams.streams().append(EVENTS_TOPIC, records)


async def start_worker() -> Process:
    """Start a stream worker and wait until it is ready."""
    worker = Process("workers.stream.main")
    await eventually(lambda: worker.said("ready"), bool, seconds=30)
    return worker


async def unacknowledged() -> int:
    """The number of unacknowledged entries."""
    lag = await event_streams.streams().lag(EVENTS_TOPIC, GROUP)
    return lag.waiting + lag.pending


def cpu_seconds(workers: Sequence[Process]) -> float:
    """The processor time of all workers since they began."""
    times = [psutil.Process(worker.pid).cpu_times() for worker in workers]
    return sum(it.user + it.system for it in times)
