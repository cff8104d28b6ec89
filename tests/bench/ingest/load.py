"""Load from the other core: at full speed with wrk, or at a fixed rate with our own client."""

import asyncio
import json
import secrets
import sys
from asyncio.subprocess import DEVNULL, PIPE
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.ingest.servers import Server
from tests.bench.ingest.tools import find
from tests.bench.ingest.world import Sender

CONNECTIONS = 256

_SCRIPT = Path(__file__).parent / "wrk.lua"


class Throughput(NamedTuple):
    """A server's figures at full speed."""

    requests: int
    per_second: float
    cpu_us: float
    """The server's processor time per request, in microseconds."""
    refused: int
    p50: float
    p99: float
    """Milliseconds from the request's first byte to the response's last."""


async def at_full_speed(
    server: Server,
    sender: Sender,
    *,
    core: int,
    seconds: float,
    connections: int = CONNECTIONS,
    thinking: float = 0.0,
) -> Throughput:
    """Send requests as fast as the server answers, over so many connections.

    Args:
        thinking: milliseconds, on average, that a connection waits before each request. With many
            connections that think for long, requests come at a rate and hardly wait for each other.
    """
    before = server.cpu_seconds()
    started = datetime.now(UTC).isoformat()
    arguments = [sender.key, sender.origin, started, f"0193c2f0-{secrets.token_hex(2)}-7d4b-8f6e-"]
    arguments.append(f"{thinking:g}")
    url = f"http://127.0.0.1:{server.port}/v1/events"
    load = [str(find("wrk")), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s"]
    found = await _run(core, *load, "-s", str(_SCRIPT), url, "--", *arguments)
    cpu = server.cpu_seconds() - before
    requests = int(found["requests"])
    assert found["broken"] == 0, found
    return Throughput(
        requests=requests,
        per_second=requests / found["seconds"],
        cpu_us=cpu / max(requests, 1) * 1e6,
        refused=int(found["refused"]),
        p50=found["p50"],
        p99=float(found["p99"]),
    )


async def at_rate(
    server: Server, sender: Sender, *, core: int, rate: float, seconds: float
) -> dict[str, Any]:
    """The latencies at a fixed rate; see client.py."""
    module = [sys.executable, "-m", "tests.bench.ingest.client"]
    options = {
        "port": server.port,
        "key": sender.key,
        "origin": sender.origin,
        "rate": rate,
        "seconds": seconds,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return await _run(core, *module, *arguments)


async def _run(core: int, *command: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "taskset", "-c", str(core), *command, stdout=PIPE, stderr=DEVNULL
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, (command, output)
    found: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    return found
