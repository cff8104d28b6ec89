"""Sends load from one core: at full speed with wrk, or at a fixed rate with client.py."""

import asyncio
import json
import secrets
import sys
from asyncio.subprocess import DEVNULL, PIPE
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.ingest.environment import Sender
from tests.bench.ingest.servers import Server
from tests.bench.ingest.tools import find

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
    delay_ms: float = 0.0,
) -> Throughput:
    """Send each connection's next request as soon as it has the previous response.

    Args:
        delay_ms: mean milliseconds that a connection waits before each request. Many connections
            with a long delay send at a nearly constant rate, and rarely queue for the server.
    """
    before = server.cpu_seconds()
    started = datetime.now(UTC).isoformat()
    arguments = [sender.key, sender.origin, started, f"0193c2f0-{secrets.token_hex(2)}-7d4b-8f6e-"]
    arguments.append(f"{delay_ms:g}")
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
    """Send requests at a fixed rate; returns the counts and latencies of client.py."""
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
