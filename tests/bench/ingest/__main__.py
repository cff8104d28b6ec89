"""`make bench-ingest`: our ingest endpoint, nginx's static 202 and a FastAPI peer.

Each server has one core of its own; the load and Valkey share the other core. Every event has its
own id. It is authenticated, validated and durable before its 202, and is counted on the stream
afterwards. On a busy machine only the ratios are meaningful; other programs disturb `cpu_us` least,
the server's processor time per request.

DURATION=5 seconds per measurement, REPEATS=3, MEMORY=0 minutes of load to measure memory.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.ingest import servers
from tests.bench.ingest.environment import NO_LIMIT, Environment, Sender, open_environment
from tests.bench.ingest.load import CONNECTIONS, Throughput, at_full_speed, at_rate
from tests.bench.ingest.memory import measure_memory
from tests.bench.ingest.servers import Server
from tests.bench.ingest.tools import ensure_tools

SECONDS = int(os.environ.get("DURATION", "5"))
REPEATS = int(os.environ.get("REPEATS", "3"))
MEMORY = float(os.environ.get("MEMORY", "0"))

WARM_UP = 2
"""Seconds before each measurement; site keys and agents are cached by then."""

FLOODED_LIMIT = 50
"""Limit in events a second of the flooding tenant: that of the smallest plan."""

FLOODERS = 1_000
"""Connections of the flood; each sends a request as soon as it has the previous response."""

VISITORS = 1_024
"""Connections that make up half of the maximum load, each with pauses between its requests."""

NEIGHBOUR_RATE = 200
"""Requests a second of the other tenant during the flood."""


async def main() -> None:
    ensure_tools()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("The benchmark needs two cores: one for the server, one for the load.")
    server_core, load_core = cores[:2]
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as name:
        folder = Path(name)
        processes = ("stream-worker",) if MEMORY else ()
        async with open_environment(folder / "state", load_core, *processes) as environment:
            await environment.check_durability()
            benchmark = Benchmark(environment, folder, server_core, load_core)
            figures = await benchmark.run()
    print_line(json.dumps(figures))


class Benchmark:
    """One run, on an environment whose stores share the load's core."""

    def __init__(
        self, environment: Environment, folder: Path, server_core: int, load_core: int
    ) -> None:
        self._environment = environment
        self._folder = folder
        self._server_core = server_core
        self._load_core = load_core
        self._lost = 0

    async def run(self) -> dict[str, object]:
        sender = await self._environment.new_sender(NO_LIMIT)
        if MEMORY:
            with servers.endpoint(self._server_core) as endpoint:
                return await measure_memory(
                    endpoint, self._environment, sender, self._load_core, MEMORY
                )
        figures = await self._throughput(sender)
        with servers.endpoint(self._server_core) as endpoint:
            half = float(figures["endpoint_per_second"]) / 2
            figures |= await self._latency(endpoint, sender, half)
            figures |= await self._flood(endpoint)
        return {**figures, "acknowledged_and_lost": self._lost}

    async def _throughput(self, sender: Sender) -> dict[str, float]:
        found: dict[str, list[Throughput]] = {"nginx": [], "peer": [], "endpoint": []}
        for repeat in range(REPEATS):
            with servers.nginx(self._server_core, self._folder) as server:
                found["nginx"].append(await self._measure(server, sender))
            with servers.peer(self._server_core) as server:
                found["peer"].append(await self._measure_and_count(server, sender))
            with servers.endpoint(self._server_core) as server:
                found["endpoint"].append(await self._measure_and_count(server, sender))
            for name, throughputs in found.items():
                it = throughputs[-1]
                text = f"{it.per_second:9,.0f}/s  {it.cpu_us:6.1f} us of processor time a request"
                print_line(f"{repeat + 1}/{REPEATS} {name:8} {text}")
        figures: dict[str, float] = {}
        for name, throughputs in found.items():
            figures[f"{name}_per_second"] = round(median(it.per_second for it in throughputs))
            figures[f"{name}_cpu_us"] = round(median(it.cpu_us for it in throughputs), 2)
        for other in ("nginx", "peer"):
            ratio = figures["endpoint_per_second"] / figures[f"{other}_per_second"]
            figures[f"endpoint_to_{other}"] = round(ratio, 3)
            cpu_ratio = figures[f"{other}_cpu_us"] / figures["endpoint_cpu_us"]
            figures[f"endpoint_to_{other}_by_cpu"] = round(cpu_ratio, 3)
        return figures

    async def _measure(self, server: Server, sender: Sender) -> Throughput:
        core = self._load_core
        await at_full_speed(server, sender, core=core, seconds=WARM_UP)
        return await at_full_speed(server, sender, core=core, seconds=SECONDS)

    async def _measure_and_count(self, server: Server, sender: Sender) -> Throughput:
        """Measure and check that each 202 has an entry in the stream.

        There may be more entries, because wrk does not wait for the requests in flight.
        """
        await at_full_speed(server, sender, core=self._load_core, seconds=WARM_UP)
        await self._environment.clear()
        async with self._environment.trimmed():
            found = await at_full_speed(server, sender, core=self._load_core, seconds=SECONDS)
        appended = await self._environment.settled()
        assert found.refused == 0, found
        self._lost += max(0, found.requests - appended)
        assert found.requests <= appended <= found.requests + CONNECTIONS, (found, appended)
        return found

    async def _latency(self, endpoint: Server, sender: Sender, rate: float) -> dict[str, float]:
        core, rates, p99s, p50s = self._load_core, [], [], []
        for repeat in range(REPEATS):
            await self._environment.clear()
            async with self._environment.trimmed():
                found = await at_full_speed(
                    endpoint,
                    sender,
                    core=core,
                    seconds=SECONDS,
                    connections=VISITORS,
                    delay_ms=VISITORS / rate * 1000,
                )
            appended = await self._environment.settled()
            self._lost += max(0, found.requests - appended)
            assert found.refused == 0, found
            assert found.requests <= appended, (found, appended)
            print_line(f"{repeat + 1}/{REPEATS} at {found.per_second:,.0f}/s  p99 {found.p99} ms")
            rates.append(found.per_second)
            p50s.append(found.p50)
            p99s.append(found.p99)
        return {
            "half_rate": round(median(rates)),
            "half_p50_ms": median(p50s),
            "half_p99_ms": median(p99s),
        }

    async def _flood(self, endpoint: Server) -> dict[str, float]:
        """One tenant sends as fast as possible, far above its limit, beside another tenant."""
        flooding = await self._environment.new_sender(FLOODED_LIMIT)
        neighbour = await self._environment.new_sender(NO_LIMIT)
        core = self._load_core
        quiet_p99s, flooded_p99s, refused = [], [], 0
        for repeat in range(REPEATS):
            quiet = await at_rate(
                endpoint, neighbour, core=core, rate=NEIGHBOUR_RATE, seconds=SECONDS
            )
            flood = asyncio.create_task(
                at_full_speed(
                    endpoint,
                    flooding,
                    core=core,
                    seconds=SECONDS + 2 * WARM_UP,
                    connections=FLOODERS,
                )
            )
            await asyncio.sleep(WARM_UP)
            flooded = await at_rate(
                endpoint, neighbour, core=core, rate=NEIGHBOUR_RATE, seconds=SECONDS
            )
            refused += (await flood).refused
            assert quiet["accepted"] == quiet["sent"], quiet
            assert flooded["accepted"] == flooded["sent"], flooded
            quiet_p99s.append(quiet["p99"])
            flooded_p99s.append(flooded["p99"])
            text = f"neighbour p99: quiet {quiet['p99']} ms, flooded {flooded['p99']} ms"
            print_line(f"{repeat + 1}/{REPEATS} {text}")
        figures = {"neighbour_p99_ms": median(quiet_p99s), "flooded_p99_ms": median(flooded_p99s)}
        ratio = figures["flooded_p99_ms"] / figures["neighbour_p99_ms"]
        return {**figures, "flooded_to_quiet": round(ratio, 2), "flood_refused": refused}


def print_line(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
