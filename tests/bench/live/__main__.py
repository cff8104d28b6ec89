"""`make bench-live`: our subscription gateway, nchan and stock Strawberry in one run.

Each server has one core of its own; publisher, subscribers and what the gateway needs (a subgraph,
an authz, a Valkey) share the other. Every subscriber gets every message. On a busy machine only the
ratios are meaningful; `cpu_us`, a server's processor time per message, is disturbed least.

SUBSCRIBERS=1000,5000  MESSAGES=400000 per measurement  REPEATS=3  IDLE=10000 connections
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.bench.live import servers
from tests.bench.live.load import message_text
from tests.bench.live.servers import Server

SUBSCRIBERS = [int(it) for it in os.environ.get("SUBSCRIBERS", "1000,5000").split(",")]
MESSAGES = int(os.environ.get("MESSAGES", "400000"))
REPEATS = int(os.environ.get("REPEATS", "3"))
IDLE = int(os.environ.get("IDLE", "10000"))

WINDOW = 200
"""Messages that may be on their way to the slowest subscriber: enough to keep a server busy, few
enough that none has to drop a subscriber."""

CHUNK = 20
"""Messages published together."""

STOCK_SUBSCRIBERS = 1_000
"""Stock Strawberry is measured up to so many subscribers."""

RATE = 10
"""Messages a second when latency is measured, to each subscriber."""

RATE_SECONDS = 4


class Throughput(NamedTuple):
    """A server's figures."""

    per_second: float
    cpu_us: float
    """Processor time a message at full speed, where a server may write many with one call."""
    paced_cpu_us: float
    """The same at `RATE`, where each message is a write of its own."""
    kb_a_connection: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Load:
    """The subscribers' process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.seen = 0

    async def wait_for(self, number: int) -> None:
        """Returns once every subscriber has this message."""
        while self.seen < number:
            self.seen = (await self._line())["seen"]

    async def latencies(self) -> dict[str, float]:
        """Returns the latencies in milliseconds since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        while "p50" not in (line := await self._line()):
            self.seen = line["seen"]
        return line

    async def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            line: dict[str, Any] = json.loads(await self._process.stdout.readline() or b"null")
        return line


@asynccontextmanager
async def subscribed(server: Server, count: int) -> AsyncIterator[Load]:
    """So many subscribers, until the end of the block."""
    command = [sys.executable, "-m", "tests.bench.live.load", "--port", str(server.port)]
    command += ["--count", str(count), "--site-key", server.site_key]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(90):
            assert await process.stdout.readline() == b"ready\n", "the subscribers did not connect"
        await asyncio.sleep(1)
        yield Load(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(server: Server, count: int, messages: int) -> Throughput:
    """Returns the figures of a server with so many subscribers."""
    async with subscribed(server, 10) as warm_up:
        await publish(server, warm_up, 1, 200)
    before = server.resident_bytes()
    async with subscribed(server, count) as load:
        memory = (server.resident_bytes() - before) / count / 1024
        await publish(server, load, 1, 100)
        cpu, start = server.cpu_seconds(), time.monotonic()
        each = max(WINDOW, messages // count)
        await publish(server, load, 101, each)
        seconds, cpu = time.monotonic() - start, server.cpu_seconds() - cpu
        await load.latencies()
        paced = server.cpu_seconds()
        for number in range(RATE * RATE_SECONDS):
            await server.publish([message_text(101 + each + number)])
            await asyncio.sleep(1 / RATE)
        paced = (server.cpu_seconds() - paced) / (RATE * RATE_SECONDS * count)
        delay = await load.latencies()
    sent = each * count
    return Throughput(
        sent / seconds,
        cpu / sent * 1e6,
        paced * 1e6,
        memory,
        delay["p50"],
        delay["p95"],
        delay["p99"],
    )


async def publish(server: Server, load: Load, first: int, count: int) -> None:
    """Publishes messages as fast as the slowest subscriber reads, and waits for the last."""
    for number in range(first, first + count, CHUNK):
        await load.wait_for(number - WINDOW)
        end = min(number + CHUNK, first + count)
        await server.publish([message_text(it) for it in range(number, end)])
    await load.wait_for(first + count - 1)


async def idle(server: Server, count: int) -> float:
    """Returns KB a connection, of subscribers that receive nothing."""
    async with subscribed(server, 10):
        pass
    before = server.resident_bytes()
    async with subscribed(server, count):
        return (server.resident_bytes() - before) / count / 1024


async def main() -> None:
    servers.ensure_nchan()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("Two cores are needed: one for the server, one for the load.")
    os.sched_setaffinity(0, {cores[1]})
    say(f"processor: {processor()}")
    figures: dict[str, Any] = {"processor": processor()}
    with tempfile.TemporaryDirectory(prefix="bench-live-") as name:
        for count in SUBSCRIBERS:
            figures |= await compare(cores[0], Path(name), count)
        if IDLE:
            async with servers.gateway(cores[0], Path(name) / "idle") as server:
                figures[f"gateway_idle_{IDLE}_kb"] = round(await idle(server, IDLE), 1)
                say(f"{IDLE} idle connections: {figures[f'gateway_idle_{IDLE}_kb']} KB each")
    say(json.dumps(figures))


async def compare(core: int, folder: Path, count: int) -> dict[str, float]:
    found: dict[str, list[Throughput]] = {"nchan": [], "gateway": [], "stock": []}
    for repeat in range(REPEATS):
        running: dict[str, AbstractAsyncContextManager[Server]] = {
            "nchan": servers.nchan(core, folder),
            "gateway": servers.gateway(core, folder / f"valkey-{count}-{repeat}"),
            "stock": servers.stock(core),
        }
        for name, context in running.items():
            if name == "stock" and (repeat or count > STOCK_SUBSCRIBERS):
                continue  # slow, and far from the others
            async with context as server:
                it = await measure(server, count, MESSAGES // (20 if name == "stock" else 1))
            found[name].append(it)
            say(
                f"{repeat + 1}/{REPEATS} {count} {name:8} {it.per_second:9,.0f}/s"
                f"  {it.cpu_us:5.2f} us a message, {it.paced_cpu_us:.2f} paced"
                f"  {it.kb_a_connection:5.1f} KB a connection"
                f"  at {RATE * count:,}/s p50 {it.p50_ms:.1f} p95 {it.p95_ms:.1f} ms"
            )
    figures = {
        f"{name}_{count}_{field}": round(median(getattr(it, field) for it in results), 2)
        for name, results in found.items()
        if results
        for field in Throughput._fields
    }
    for other in ("nchan", "stock") if found["stock"] else ("nchan",):
        ratio = figures[f"gateway_{count}_per_second"] / figures[f"{other}_{count}_per_second"]
        figures[f"gateway_to_{other}_{count}"] = round(ratio, 2)
        by_cpu = figures[f"{other}_{count}_cpu_us"] / figures[f"gateway_{count}_cpu_us"]
        figures[f"gateway_to_{other}_{count}_by_cpu"] = round(by_cpu, 2)
    return figures


def processor() -> str:
    """Returns the processor's model."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((it.partition(": ")[2] for it in lines if it.startswith("model name")), "unknown")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
