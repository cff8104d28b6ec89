"""A load generator for HTTP benchmarks: open connections that repeat requests at full speed."""

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import psutil


class Throughput(NamedTuple):
    """The figures of one run."""

    per_second: float
    p50: float
    p95: float
    """Milliseconds from a request's first byte to its response's last."""
    cpu_us: dict[str, float]
    """Processor time per request in microseconds, by process."""


def request(
    path: str, body: bytes = b"", *, method: str = "POST", headers: dict[str, str] | None = None
) -> bytes:
    """The bytes of a request."""
    given = {
        "host": "localhost",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def at_full_speed(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    pids: Mapping[str, int],
) -> Throughput:
    """Send the requests in turn; each connection sends its next one after the response.

    Raises:
        AssertionError: a response is not 200, or holds GraphQL errors.
    """
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    cpu = {name: _cpu_seconds(pid) for name, pid in pids.items()}
    source = cycle(requests)
    opened: list[_Client] = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: _Client(source, started + seconds), "127.0.0.1", port
        )
        opened.append(client)
    await asyncio.gather(*(client.done for client in opened))
    elapsed = time.perf_counter() - started
    times = [one for client in opened for one in client.times]
    used = {name: _cpu_seconds(pid) - cpu[name] for name, pid in pids.items()}
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    return Throughput(
        per_second=round(len(times) / elapsed, 1),
        p50=round(statistics.median(times) * 1e3, 2),
        p95=round(cuts[-1] * 1e3, 2),
        cpu_us={name: round(it / len(times) * 1e6) for name, it in used.items()},
    )


def processor() -> str:
    """The processor's model name."""
    with open("/proc/cpuinfo") as info:
        names = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    return names[0] if names else "unknown"


class _Client(asyncio.Protocol):
    """One connection: sends a request as soon as the response before is complete."""

    def __init__(self, source: Iterator[bytes], until: float) -> None:
        self._source = source
        self._until = until
        self._received = bytearray()
        self._sent = 0.0
        self.times: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not _is_complete(self._received):
            return
        now = time.perf_counter()
        response = bytes(self._received)
        self._received.clear()
        if not response.startswith(b"HTTP/1.1 200") or b'"errors"' in response:
            self._fail(AssertionError(response[:2_000]))
            return
        self.times.append(now - self._sent)
        if now < self._until:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("The server closed a connection."))

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._source))

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def _is_complete(received: bytearray) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return body.endswith(b"0\r\n\r\n")


def _cpu_seconds(pid: int) -> float:
    """The processor time of a process and its children since they began."""
    process = psutil.Process(pid)
    times = [it.cpu_times() for it in (process, *process.children(recursive=True))]
    return sum(it.user + it.system for it in times)
