"""Sends requests at a fixed rate, which slow responses do not reduce as they do with wrk.

The latency of a request counts from the time at which it was due. It includes the wait for a free
connection, so that a server cannot hide a stall.

    python -m tests.bench.ingest.client --port … --key … --origin … --rate 1000 --seconds 5
"""

import argparse
import asyncio
import json
import secrets
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import uvloop

AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"

EVENTS_PER_VISITOR = 50

_TICK = 0.0005
"""Seconds between two checks for due requests."""

_LAST_SECONDS = 10.0
"""Time limit for the last responses."""


class Connection(asyncio.Protocol):
    """A connection with one request in flight at a time."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._due = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._run.idle.append(self)

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or not body.endswith(b"}"):
            return
        status = int(self._received[9:12])
        is_new = b'"status":"accepted"' in body
        self._received = b""
        self._run.record_response(self, self._due, status, is_new)


class Run:
    """One measurement, and its idle connections and queued requests."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self.idle: deque[Connection] = deque()
        self._queued: deque[tuple[bytes, float]] = deque()
        self._latencies: list[float] = []
        self._statuses: dict[int, int] = {}
        self._accepted = 0
        self._total = int(options.rate * options.seconds)
        self._all_received = asyncio.Event()
        nonce = secrets.token_hex(2)
        self._prefix = f"0193c2f0-{nonce}-7d4b-8f6e-"

    async def measure(self) -> dict[str, object]:
        """Send all requests and wait for the responses."""
        options = self._options
        for _ in range(options.connections):
            await self._loop.create_connection(lambda: Connection(self), "127.0.0.1", options.port)
        start, sent, total = time.monotonic(), 0, self._total
        while sent < total:
            now = time.monotonic()
            due = min(total, int((now - start) * options.rate) + 1)
            for number in range(sent, due):
                self._send(self._request(number), start + number / options.rate)
            sent = max(sent, due)
            await asyncio.sleep(_TICK)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_received.wait(), _LAST_SECONDS)
        return self._figures(total)

    def record_response(
        self, connection: Connection, due: float, status: int, is_new: bool
    ) -> None:
        self._latencies.append(time.monotonic() - due)
        if len(self._latencies) == self._total:
            self._all_received.set()
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._accepted += is_new
        if self._queued:
            connection.send(*self._queued.popleft())
        else:
            self.idle.append(connection)

    def _send(self, request: bytes, due: float) -> None:
        if self.idle:
            self.idle.popleft().send(request, due)
        else:
            self._queued.append((request, due))

    def _request(self, number: int) -> bytes:
        body = (
            f'{{"siteKey":"{self._options.key}","events":[{{"id":"{self._prefix}{number:012x}",'
            f'"type":"page.viewed","occurredAt":"{datetime.now(UTC).isoformat()}",'
            f'"visitorId":"v{number // EVENTS_PER_VISITOR}","page":"/products/red-shoes"}}]}}'
        )
        return (
            "POST /v1/events HTTP/1.1\r\nHost: shop.example.com\r\n"
            f"User-Agent: {AGENT}\r\nAccept: */*\r\nOrigin: {self._options.origin}\r\n"
            f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def _figures(self, total: int) -> dict[str, object]:
        ordered = sorted(self._latencies)

        def percentile(share: float) -> float:
            return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 3)

        return {
            "sent": total,
            "responses": len(ordered),
            "accepted": self._accepted,
            "statuses": self._statuses,
            "p50": percentile(0.5),
            "p99": percentile(0.99),
            "max": percentile(1.0),
        }


async def _main(options: argparse.Namespace) -> None:
    print(json.dumps(await Run(options).measure()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--origin", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, default=128)
    uvloop.run(_main(parser.parse_args()))
