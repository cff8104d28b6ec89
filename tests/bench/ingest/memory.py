"""What the door and the worker hold in memory while they are at work."""

import asyncio

from tests.bench.ingest.load import at_rate
from tests.bench.ingest.servers import Server
from tests.bench.ingest.world import Sender, World

RATE = 1_000
"""Events a second: below what a worker can take beside the load on one core."""

FLAT = 1.10
"""The most by which the last quarter's memory may exceed the second quarter's."""

_SAMPLES = 20


async def measure_memory(
    door: Server, world: World, sender: Sender, core: int, minutes: float
) -> dict[str, object]:
    """Load for so many minutes; answers the memory over time, in MiB, and whether it is flat."""
    worker = Server(0, world.stack.pids["stream-worker"])
    seconds = minutes * 60
    load = asyncio.create_task(at_rate(door, sender, core=core, rate=RATE, seconds=seconds))
    samples: dict[str, list[float]] = {"door": [], "worker": []}
    for _ in range(_SAMPLES):
        await asyncio.sleep(seconds / _SAMPLES)
        samples["door"].append(_mib(door))
        samples["worker"].append(_mib(worker))
        text = f"door {samples['door'][-1]:.1f} MiB, worker {samples['worker'][-1]:.1f} MiB"
        print(text, flush=True)
    found = await load
    assert found["accepted"] == found["sent"], found
    growth = {name: round(_growth(values), 3) for name, values in samples.items()}
    return {
        "minutes": minutes,
        "events": found["accepted"],
        "mib": samples,
        "growth": growth,
        "flat": all(it <= FLAT for it in growth.values()),
    }


def _growth(values: list[float]) -> float:
    """The last quarter by the second: the first is where caches fill."""
    quarter = len(values) // 4
    return sum(values[-quarter:]) / sum(values[quarter : 2 * quarter])


def _mib(server: Server) -> float:
    return round(server.resident_bytes() / 2**20, 1)
