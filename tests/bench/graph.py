"""`make bench-graph`: what a GraphQL request costs, at the subgraph and behind the router.

    ten, hundred    a page of sites: one subgraph, authentication and row security
    dashboard       a page of sites with their notifications, integrations and plans: four subgraphs
    mutation        a plan that is chosen again: two statements and a commit
    typename        `{ __typename }`: the framework alone

Each goes to the subgraph (`direct`), through the router, and through the public port. The peers
serve the same page of ten from the same tables:

    stock           Strawberry, FastAPI and SQLAlchemy; no authentication, no row security
    stock_cached    the same with Strawberry's caches of parsed and validated documents
    postgraphile    PostGraphile as the app's role, with row security; left out if npm fails

Ways and rounds alternate. The last line of the output is JSON.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from deploy.local.stack.stack import Stack
from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from tests.bench import postgraphile
from tests.bench.graph_world import CHANGE_PLAN, DASHBOARD, ROWS, World, create_world, plain
from tests.bench.http_load import Throughput, at_full_speed, processor
from tests.fixtures.ports import free_port
from tests.fixtures.programs import running

CONNECTIONS = 16
"""Requests at once; `alone` figures have one."""


class Target(NamedTuple):
    """Where requests go, and the request that is sent there."""

    port: int
    request: Callable[[], bytes]
    pids: Mapping[str, int]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.graph", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=(), help="names such as ten.direct")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        only = ("authz", "subgraphs", "router", "envoy")
        async with Stack(state=Path(folder) / "state", port=free_port(), only=only) as stack:
            os.environ.update(stack.env)
            settings.cache_clear()
            try:
                world = await create_world(stack.url)
                only_ours = options.only and "ten.postgraphile" not in options.only
                async with peers(
                    stack, world, Path(folder), with_postgraphile=not only_ours
                ) as targets:
                    targets = {**targets, **ours(stack, world)}
                    if options.only:
                        targets = {it: targets[it] for it in options.only}
                    measured = await measure(targets, options.rounds, options.seconds)
            finally:
                await db.dispose()
    print(json.dumps(report(measured, options)))


def ours(stack: Stack, world: World) -> dict[str, Target]:
    """Each kind of request, by each way."""
    site = {"siteId": str(world.site_id), "planId": "growth"}
    kinds: dict[str, tuple[str, str, dict[str, Any]]] = {
        "ten": ("sites", ROWS, {"first": 10}),
        "hundred": ("sites", ROWS, {"first": 100}),
        "mutation": ("billing", CHANGE_PLAN, {"input": site}),
        "typename": ("sites", "{ __typename }", {}),
        "dashboard": ("", DASHBOARD, {}),
    }
    pids = {name: stack.pids[name] for name in ("subgraphs", "postgres")}
    router = pids | {"router": stack.pids.get("router") or stack.pids["gateway"]}
    edge = router | {name: stack.pids[name] for name in ("envoy", "authz")}
    public = int(stack.url.rpartition(":")[2].rstrip("/"))
    router_port = int(stack.env["ROUTER_URL"].rpartition(":")[2].rstrip("/"))
    direct_port = int(stack.env["SITES_URL"].split(":")[2].partition("/")[0])

    def target(port: int, pids: Mapping[str, int], make: Callable[[], bytes]) -> Target:
        return Target(port, make, pids)

    found = {}
    for kind, (subgraph, document, variables) in kinds.items():
        path = f"/{subgraph}/graphql"
        if subgraph:
            found[f"{kind}.direct"] = target(
                direct_port,
                pids,
                lambda p=path, d=document, v=variables: world.internal(p, d, **v),  # type: ignore[misc]
            )
        found[f"{kind}.router"] = target(
            router_port,
            router,
            lambda d=document, v=variables: world.internal("/graphql", d, **v),  # type: ignore[misc]
        )
        found[f"{kind}.public"] = target(
            public,
            edge,
            lambda d=document, v=variables: world.public(d, **v),  # type: ignore[misc]
        )
    return found


@asynccontextmanager
async def peers(
    stack: Stack, world: World, folder: Path, *, with_postgraphile: bool
) -> AsyncIterator[dict[str, Target]]:
    """The peers, while they run."""
    async with AsyncExitStack() as running_peers:
        enter = running_peers.enter_async_context
        found = {
            "ten.stock": await enter(stock(stack, folder)),
            "ten.stock_cached": await enter(stock(stack, folder, CACHED="1")),
        }
        if with_postgraphile and await postgraphile.install():
            log = folder / "postgraphile.log"
            port, pid = await enter(postgraphile.postgraphile(stack, world.viewer, log))
            found["ten.postgraphile"] = Target(
                port,
                lambda: plain("/graphql", postgraphile.DOCUMENT, first=10),
                {"peer": pid, "postgres": stack.pids["postgres"]},
            )
        yield found


@asynccontextmanager
async def stock(stack: Stack, folder: Path, **environment: str) -> AsyncIterator[Target]:
    """Strawberry, FastAPI and SQLAlchemy under uvicorn."""
    port = free_port()
    url = stack.stores["postgres"].replace("postgresql://", "postgresql+asyncpg://", 1)
    command = [sys.executable, "-m", "uvicorn", "tests.bench.graph_peer:app"]
    command += ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    env = {"PEER_DATABASE_URL": url, **environment}
    ready = f"http://127.0.0.1:{port}/openapi.json"
    log = folder / f"peer-{port}.log"
    async with running(command, ready=ready, log=log, env=env) as pid:
        yield Target(
            port,
            lambda: plain("/graphql", ROWS, first=10),
            {"peer": pid, "postgres": stack.pids["postgres"]},
        )


async def measure(
    targets: Mapping[str, Target], rounds: int, seconds: float
) -> dict[str, list[Throughput]]:
    """Each target in each round: warmed up, at full speed, and one request at a time."""
    found: defaultdict[str, list[Throughput]] = defaultdict(list)
    for number in range(rounds):
        for name, (port, make, pids) in targets.items():
            ways = {name: CONNECTIONS, f"{name}.alone": 1}
            for way, connections in ways.items():
                run = partial(at_full_speed, port, connections=connections, pids=pids)
                await run([make()], seconds=0.3)
                figures = await run([make()], seconds=seconds)
                found[way].append(figures)
                print(f"round {number + 1}: {way:24} {_line(figures)}", flush=True)
    return found


def report(measured: Mapping[str, list[Throughput]], options: argparse.Namespace) -> dict[str, Any]:
    """The medians over the rounds, and the ratios to the peers."""
    figures = {name: summary(runs) for name, runs in measured.items()}

    def ratio(one: str, other: str) -> float | None:
        if one not in figures or other not in figures:
            return None
        return round(float(figures[one]["per_second"]) / float(figures[other]["per_second"]), 2)

    return {
        "bench": "graph",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "connections": CONNECTIONS,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "figures": figures,
        "ten_to_stock": ratio("ten.direct", "ten.stock"),
        "ten_to_stock_cached": ratio("ten.direct", "ten.stock_cached"),
        "ten_to_postgraphile": ratio("ten.direct", "ten.postgraphile"),
        "ten_public_to_direct": ratio("ten.public", "ten.direct"),
        "ten_router_to_direct": ratio("ten.router", "ten.direct"),
    }


def summary(runs: list[Throughput]) -> dict[str, Any]:
    """The medians over the rounds."""
    cpu = {name: statistics.median(run.cpu_us[name] for run in runs) for name in runs[0].cpu_us}
    return {
        "per_second": round(statistics.median(run.per_second for run in runs), 1),
        "p50": round(statistics.median(run.p50 for run in runs), 2),
        "p95": round(statistics.median(run.p95 for run in runs), 2),
        "cpu_us": {name: round(it) for name, it in cpu.items()},
    }


def _line(figures: Throughput) -> str:
    cpu = " ".join(f"{name} {used:.0f}" for name, used in figures.cpu_us.items())
    return (
        f"{figures.per_second:8,.0f}/s  p50 {figures.p50:7.2f} ms  p95 {figures.p95:7.2f} ms"
        f"  cpu us: {cpu}"
    )


if __name__ == "__main__":
    asyncio.run(main())
