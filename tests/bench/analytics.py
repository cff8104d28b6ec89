"""`make bench-analytics`: how long a query of a quarter by the hour takes, for one site of many.

One run measures a small and a ten times larger number of events over 90 days, on ClickHouse's
engine behind its HTTP server. The last three hours are open, all others are rolled up. Each query
is of a random site:

    counts    five metrics, as a dashboard's chart queries them (`get_counts`)
    all       every metric and the revenue
    graphql   the same five through the subgraph's app, from the viewer's signature to JSON
    peer      the same five, counted from the raw events by a plain GROUP BY
    read      lower bound: only reads the rolled-up rows of the response
    ping      lower bound of every query: SELECT 1

Kinds and sizes alternate, so that a disturbance affects all of them. Before the measurement, the
counts of some sites are compared with their raw events. The last line of the output is JSON.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from deploy.local.stack.stack import Stack
from subgraphs.analytics.clickhouse.counts import Counts, get_counts
from subgraphs.analytics.clickhouse.hours import HOUR, start_of_hour
from subgraphs.analytics.clickhouse.metrics import Granularity
from subgraphs.analytics.schema import schema
from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.graphql.app import create_app
from subgraphs.kernel.identity.viewer import Viewer, ViewerSigner
from subgraphs.kernel.storage import clickhouse
from tests.bench.analytics_events import fill
from tests.fixtures.cells import cells
from tests.fixtures.ports import free_port
from tests.fixtures.shop import more_sites, new_shop

DAYS = 90

METRICS = ("orders", "published", "shown", "clicked", "dismissed")

COMPARED = 5
"""Sites whose counts are compared with their raw events."""

BLOCK = 10
"""Queries of each kind and size in a row."""

WARM_UP = 3
"""Queries at the start of each block that are not measured, because their connection is new."""

_PEER = """
    SELECT toStartOfHour(occurred_at, 'UTC') AS hour, metric, count() FROM raw_events FINAL
    WHERE site_id = {site:UUID} AND metric IN {metrics:Array(String)}
      AND occurred_at >= {start:DateTime('UTC')} AND occurred_at < {end:DateTime('UTC')}
    GROUP BY hour, metric
"""

_READ = """
    SELECT toUInt32(timestamp), toString(metric), value FROM hourly_totals
    WHERE site_id = {site:UUID} AND metric IN {metrics:Array(String)}
      AND timestamp >= {start:DateTime('UTC')} AND timestamp < {end:DateTime('UTC')}
"""

_DOCUMENT = """
query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!) {
  _entities(representations: $sites) {
    ... on Site {
      analytics(start: $start, end: $end, granularity: HOUR,
                metrics: [ORDERS, PUBLISHED, SHOWN, CLICKED, DISMISSED]) {
        totals { orders published shown clicked dismissed }
        points { start counters { orders published shown clicked dismissed } }
      }
    }
  }
}"""


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.analytics", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000_000, help="events of the larger size")
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--queries", type=int, default=200, help="queries of each kind and size")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        async with Stack(state=state, port=free_port(), only=("migrate",)) as stack:
            os.environ.update(stack.env)
            settings.cache_clear()
            try:
                shop = await new_shop()
                sites = [shop.site_id, *await more_sites(shop, options.sites - 1)]
                bench = Benchmark(shop.owner, sites)
                for size in (options.events // 10, options.events):
                    await bench.prepare(size)
                print_line(json.dumps(await bench.run(options.queries)))
            finally:
                for module in (clickhouse, db):
                    await module.dispose()


class Benchmark:
    """The measurements of one run, and its databases by their number of events."""

    def __init__(self, viewer: Viewer, sites: list[UUID]) -> None:
        self._viewer = viewer
        self._sites = sites
        self._end = start_of_hour(datetime.now(UTC)) + HOUR
        self._start = self._end - timedelta(days=DAYS)
        self._filled: dict[int, dict[str, float]] = {}
        self._seconds: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
        self._rows: defaultdict[int, list[int]] = defaultdict(list)
        self._app = create_app({"analytics": schema})
        transport = httpx.ASGITransport(self._app)
        self._web = httpx.AsyncClient(transport=transport, base_url="http://a")

    async def prepare(self, size: int) -> None:
        """Fill a database and compare some of its counts with the raw events."""
        self._filled[size] = await fill(
            f"events_{size}", size, self._sites, self._start, self._end, print_line
        )
        for site in random.sample(self._sites, COMPARED):
            found = await self._counts(site, METRICS)
            raw = await self._query(_PEER, site)
            hours = {(hour.replace(tzinfo=UTC), metric): value for hour, metric, value in raw}
            assert {(it.start, it.metric): it.value for it in cells(found)} == hours

    async def run(self, queries: int) -> dict[str, Any]:
        """Measure this number of queries of each kind and size; returns the figures."""
        async with self._app.router.lifespan_context(self._app), self._web:
            for started in range(0, queries, BLOCK):
                for size in self._filled:
                    await self._measure(size, min(BLOCK, queries - started))
        sizes = {str(size): self._figures(size) for size in self._filled}
        small, large = sizes.values()
        kinds = ("counts", "all", "graphql", "peer", "read")
        return {
            "bench": "analytics",
            "cores": len(os.sched_getaffinity(0)),
            "sites": len(self._sites),
            "days": DAYS,
            "queries": queries,
            "events": sizes,
            "growth_p50": {it: ratio(large[it]["p50"], small[it]["p50"]) for it in kinds},
            "growth_p95": {it: ratio(large[it]["p95"], small[it]["p95"]) for it in kinds},
            "peer_to_counts_p50": ratio(large["peer"]["p50"], large["counts"]["p50"]),
            "counts_to_read_p50": ratio(large["counts"]["p50"], large["read"]["p50"]),
        }

    async def _measure(self, size: int, queries: int) -> None:
        """Measure this number of queries of each kind."""
        os.environ["CLICKHOUSE_DATABASE"] = f"events_{size}"
        settings.cache_clear()
        await clickhouse.dispose()
        kinds: dict[str, Callable[[UUID], Awaitable[Any]]] = {
            "counts": lambda site: self._counts(site, METRICS),
            "all": lambda site: self._counts(site, ()),
            "graphql": self._graphql,
            "peer": lambda site: self._query(_PEER, site),
            "read": lambda site: self._query(_READ, site),
            "ping": lambda site: self._query("SELECT 1", site),
        }
        for number in range(-WARM_UP, queries):
            site = random.choice(self._sites)
            for kind, query in kinds.items():
                started = time.perf_counter()
                result = await query(site)
                if number >= 0:
                    self._seconds[size, kind].append(time.perf_counter() - started)
                    self._rows[size] += [len(cells(result))] if kind == "counts" else []

    def _figures(self, size: int) -> dict[str, Any]:
        """Milliseconds of each kind, and the mean number of counts in a result."""
        figures = {
            kind: milliseconds(seconds)
            for (of, kind), seconds in self._seconds.items()
            if of == size
        }
        for kind, figure in figures.items():
            print_line(
                f"{size:>12,} events: {kind:8} p50 {figure['p50']:7} p95 {figure['p95']:7} ms"
            )
        return {**figures, "rows": round(statistics.mean(self._rows[size])), **self._filled[size]}

    async def _counts(self, site: UUID, metrics: tuple[str, ...]) -> list[Counts]:
        return await get_counts(
            [site], self._start, self._end, granularity=Granularity.HOUR, metrics=metrics
        )

    async def _query(self, statement: str, site: UUID) -> Any:
        client = await clickhouse.client()
        values = {"site": site, "metrics": list(METRICS), "start": self._start, "end": self._end}
        return (await client.query(statement, values)).result_rows

    async def _graphql(self, site: UUID) -> Any:
        signer = ViewerSigner(settings().viewer_signing_key.get_secret_value())
        variables = {
            "sites": [{"__typename": "Site", "id": str(site)}],
            "start": self._start.isoformat(),
            "end": self._end.isoformat(),
        }
        response = await self._web.post(
            "/analytics/graphql",
            json={"query": _DOCUMENT, "variables": variables},
            headers={"x-proofgraph-viewer": signer.sign(self._viewer)},
        )
        body = response.json()
        assert "errors" not in body, body
        return body


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50": round(statistics.median(seconds) * 1e3, 1), "p95": round(cuts[-1] * 1e3, 1)}


def ratio(dividend: float, divisor: float) -> float:
    return round(dividend / divisor, 2)


def print_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
