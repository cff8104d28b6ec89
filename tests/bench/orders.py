"""`make bench-orders`: from a shop's signed order to the claim at a subscriber.

The whole stack runs; orders and subscribers use the public port. The figures are the orders that
are acknowledged per second, and the time from the 200 to the claim at the subscriber. The bound is
PostgreSQL: asyncpg inserts the same rows by groups into a table with the inbox's indexes.

    python -m tests.bench.orders --rates 10 40 100 300 600 1000 --seconds 5 --repeats 2

Load and stack share the machine's cores. `cpu_us` is a process's processor time for each order that
was acknowledged; other programs disturb it least. The last line is JSON.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import psutil
import uvloop

from deploy.local.stack.stack import Stack
from subgraphs.kernel import cancellation
from subgraphs.kernel.ids import new_id
from tests.bench.orders_load import Load, Orders, Seen, new_shops, watch
from tests.fixtures.ports import free_port

SHOPS = 4

CONNECTIONS = 128

ALONE = 20
"""Orders that are sent one by one."""

_ALONE_PAUSE = 0.5
"""Longer than a run of the inbox task waits for further webhooks."""

_DRAIN_SECONDS = 20.0
"""How long the last claims are waited for."""

_PROCESSES = ("envoy", "inbox", "postgres", "celery", "valkey", "stream-worker", "live")

_PEER = """
CREATE TABLE bench_orders (LIKE inbox INCLUDING ALL);
"""
_INSERT = """
INSERT INTO bench_orders (id, account_id, site_id, integration_id, delivery_id, topic, body, status)
SELECT *, 'RECEIVED' FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[],
                                 $6::text[], $7::bytea[])
ON CONFLICT (integration_id, delivery_id) DO NOTHING RETURNING id
"""

Figures = dict[str, Any]


class Bench:
    """One run on a started stack."""

    def __init__(self, stack: Stack, orders: Orders, seen: Seen, options: argparse.Namespace):
        self._stack = stack
        self._orders = orders
        self._seen = seen
        self._options = options

    async def run(self) -> Figures:
        await self._latency("warm-up", 20, 2)
        figures: Figures = {"processor": _processor(), "cores": psutil.cpu_count()}
        figures["alone"] = await self._alone()
        for rate in self._options.rates:
            rounds = [
                await self._latency(f"{rate}/s", rate, self._options.seconds)
                for _ in range(self._options.repeats)
            ]
            figures[f"at_{rate}"] = {key: median(it[key] for it in rounds) for key in rounds[0]}
        bounds, speeds = [], []
        for _ in range(self._options.repeats):
            speeds.append(await self._full_speed())
            bounds.append(await self._bound())
        figures["acknowledged_per_second"] = median(it["per_second"] for it in speeds)
        figures["full_speed"] = speeds
        figures["bound_per_second"] = median(bounds)
        ratio = figures["acknowledged_per_second"] / figures["bound_per_second"]
        return {**figures, "acknowledged_to_bound": round(ratio, 3)}

    async def _alone(self) -> Figures:
        load = Load(self._seen)
        await load.connect(self._stack.url, 1)
        orders = self._orders.make(ALONE)
        for one in orders:
            await load.at_rate([one], 1)
            await self._seen.all_claimed(_DRAIN_SECONDS)
            await asyncio.sleep(_ALONE_PAUSE)
        load.close()
        return _say("alone", self._percentiles([one.event_id for one in orders]))

    async def _latency(self, name: str, rate: int, seconds: float) -> Figures:
        orders = self._orders.make(int(rate * seconds))
        load = Load(self._seen)
        await load.connect(self._stack.url, CONNECTIONS)
        with _cpu_of(self._stack) as spent:
            await load.at_rate(orders, rate)
            await self._seen.all_claimed(_DRAIN_SECONDS)
            used = spent()
        load.close()
        cpu_us = _per_order(used, len(orders))
        print(f"{'':12} cpu_us {json.dumps(cpu_us)}", flush=True)
        figures = {
            "sent": len(orders),
            "refused": len(orders) - load.statuses[200],
            "missing": self._seen.missing(),
            **self._percentiles([one.event_id for one in orders]),
            "cpu_us": sum(cpu_us.values()),
        }
        return _say(name, figures)

    async def _full_speed(self) -> Figures:
        orders = self._orders.make(int(self._options.seconds * 4_000))
        load = Load(self._seen)
        await load.connect(self._stack.url, CONNECTIONS)
        with _cpu_of(self._stack) as spent:
            seconds = await load.at_full_speed(orders, self._options.seconds)
            used = spent()
        await self._seen.all_claimed(_DRAIN_SECONDS)
        load.close()
        accepted = load.statuses[200]
        figures = {
            "per_second": round(accepted / seconds),
            "refused": sum(load.statuses.values()) - accepted,
            "missing": self._seen.missing(),
            "cpu_us": _per_order(used, accepted),
        }
        return _say("full speed", figures)

    async def _bound(self) -> float:
        """Rows per second of PostgreSQL, in groups as large as the number of connections."""
        bodies = [one.request.partition(b"\r\n\r\n")[2] for one in self._orders.make(CONNECTIONS)]
        owner = await asyncpg.connect(self._stack.stores["postgres"])
        try:
            await owner.execute(_PEER)
            count, start = 0, time.monotonic()
            while time.monotonic() - start < self._options.seconds:
                await owner.fetch(_INSERT, *_columns(bodies))
                count += len(bodies)
            rate = round(count / (time.monotonic() - start))
        finally:
            await owner.execute("DROP TABLE bench_orders")
            await owner.close()
        _say("bound", {"per_second": rate})
        return rate

    def _percentiles(self, event_ids: Sequence[str]) -> Figures:
        """Milliseconds from the 200 to the claim."""
        acknowledged, claimed = self._seen.acknowledged, self._seen.claimed
        found = sorted(
            (claimed[id_] - acknowledged[id_]) * 1000
            for id_ in event_ids
            if id_ in claimed and id_ in acknowledged
        )
        if not found:
            return dict.fromkeys(("p50_ms", "p95_ms", "p99_ms"), float("inf"))
        return {
            f"p{share}_ms": round(found[min(len(found) * share // 100, len(found) - 1)], 1)
            for share in (50, 95, 99)
        }


class _cpu_of:
    """Processor seconds of the stack's processes, children included, since the block began."""

    def __init__(self, stack: Stack) -> None:
        self._pids = {name: pid for name, pid in stack.pids.items() if name in _PROCESSES}

    def __enter__(self) -> Callable[[], dict[str, float]]:
        before = self._read()
        return lambda: {name: value - before[name] for name, value in self._read().items()}

    def __exit__(self, *_: object) -> None:
        pass

    def _read(self) -> dict[str, float]:
        return {name: _seconds(psutil.Process(pid)) for name, pid in self._pids.items()}


def _seconds(process: psutil.Process) -> float:
    used = 0.0
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        used += times.user + times.system
    return used


def _per_order(seconds: dict[str, float], orders: int) -> dict[str, int]:
    """Microseconds of each process for one order."""
    return {name: round(value * 1e6 / max(orders, 1)) for name, value in seconds.items()}


def _columns(bodies: Sequence[bytes]) -> list[list[Any]]:
    ids: list[UUID] = [new_id() for _ in bodies]
    same = [UUID(int=1)] * len(bodies)
    deliveries = [str(uuid4()) for _ in bodies]
    return [ids, same, same, same, deliveries, ["orders/create"] * len(bodies), list(bodies)]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((it.partition(": ")[2] for it in lines if it.startswith("model name")), "unknown")


def _say(name: str, figures: Figures) -> Figures:
    print(f"{name:12} {json.dumps(figures)}", flush=True)
    return figures


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.orders", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="*", default=[10, 40, 100, 300, 600, 1000])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    async with AsyncExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="bench-orders-"))
        stack = Stack(state=Path(folder) / "state", port=free_port(), split=False)
        await running.enter_async_context(stack)
        client = httpx.AsyncClient(base_url=stack.url, timeout=20, trust_env=False)
        shops = await new_shops(await running.enter_async_context(client), SHOPS)
        seen = Seen()
        ready = [asyncio.Event() for _ in shops]
        watching = [
            asyncio.create_task(watch(stack.url, shop, seen, event))
            for shop, event in zip(shops, ready, strict=True)
        ]
        try:
            for event in ready:
                await event.wait()
            figures = await Bench(stack, Orders(shops), seen, options).run()
        finally:
            await cancellation.cancel_and_wait(*watching)
    print(json.dumps(figures))


if __name__ == "__main__":
    uvloop.run(main())
