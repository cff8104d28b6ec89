"""The memory of the ingest endpoint and the stream worker under load."""

import asyncio

from tests.bench.ingest.environment import Environment, Sender
from tests.bench.ingest.load import at_rate
from tests.bench.ingest.servers import Server

RATE = 1_000
"""Events a second: fewer than a worker processes while it shares a core with the load."""

FLAT = 1.10
"""Largest ratio of the last quarter's memory to the second quarter's that counts as flat."""

_SAMPLES = 20


async def measure_memory(
    endpoint: Server, environment: Environment, sender: Sender, core: int, minutes: float
) -> dict[str, object]:
    """Send load for some minutes; returns the memory in MiB over time and whether it is flat."""
    worker = Server(0, environment.stack.pids["stream-worker"])
    seconds = minutes * 60
    load = asyncio.create_task(at_rate(endpoint, sender, core=core, rate=RATE, seconds=seconds))
    samples: dict[str, list[float]] = {"endpoint": [], "worker": []}
    for _ in range(_SAMPLES):
        await asyncio.sleep(seconds / _SAMPLES)
        samples["endpoint"].append(_mib(endpoint))
        samples["worker"].append(_mib(worker))
        text = f"endpoint {samples['endpoint'][-1]:.1f} MiB, worker {samples['worker'][-1]:.1f} MiB"
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
    """Memory of the last quarter divided by the second's; caches fill in the first."""
    quarter = len(values) // 4
    return sum(values[-quarter:]) / sum(values[quarter : 2 * quarter])


def _mib(server: Server) -> float:
    return round(server.resident_bytes() / 2**20, 1)
