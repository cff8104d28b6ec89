"""`make bench-edge`: what Envoy and the edge authz add to a request.

Three kinds of request, none of which does any work of its own:

    envoy     a path that Envoy answers itself: the price of Envoy
    check     a check at the edge authz, as Envoy sends it: a known user, a known site key, nobody
    typename  `{ __typename }` through the public port, and at the router without Envoy and authz

Peers in the same run: `starlette`, the same check through uvicorn's own protocol and Starlette, and
`bound`, a 20-line protocol that answers every request with one constant response.

The last line of the output is JSON.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from deploy.local.stack.stack import Stack
from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from tests.bench.graph import CONNECTIONS, Target, measure, summary
from tests.bench.graph_world import World, create_world
from tests.bench.http_load import processor, request
from tests.fixtures.ports import free_port
from tests.fixtures.programs import running

_TYPENAME = "{ __typename }"

_BEHIND: tuple[str, ...] = ("router", "gateway", "subgraphs")


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.edge", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        only = ("authz", "subgraphs", "router", "envoy")
        async with Stack(state=Path(folder) / "state", port=free_port(), only=only) as stack:
            os.environ.update(stack.env)
            settings.cache_clear()
            try:
                world = await create_world(stack.url)
                async with peers(Path(folder), world) as targets:
                    targets = {**targets, **ours(stack, world)}
                    measured = await measure(targets, options.rounds, options.seconds)
            finally:
                await db.dispose()
    figures = {name: summary(runs) for name, runs in measured.items()}
    print(json.dumps(report(figures, options)))


def ours(stack: Stack, world: World) -> dict[str, Target]:
    """The edge as the stack runs it."""
    public = int(stack.url.rpartition(":")[2].rstrip("/"))
    router = int(stack.env["ROUTER_URL"].rpartition(":")[2].rstrip("/"))
    authz = int(stack.env["AUTHZ_URL"].rpartition(":")[2].rstrip("/"))
    pids = stack.pids
    envoy = {"envoy": pids["envoy"]}
    behind: dict[str, int] = {name: pids[name] for name in _BEHIND if name in pids}
    checks = {"authz": pids["authz"]}
    return {
        "envoy": Target(public, lambda: request("/healthz", method="GET"), envoy),
        "check.user": Target(authz, lambda: check_of(world), checks),
        "check.site": Target(authz, lambda: site_check_of(world), checks),
        "check.nobody": Target(authz, lambda: request("/check/graphql"), checks),
        "typename.router": Target(router, lambda: world.internal("/graphql", _TYPENAME), behind),
        "typename.public": Target(
            public, lambda: world.public(_TYPENAME), {**envoy, **checks, **behind}
        ),
    }


def check_of(world: World) -> bytes:
    """A check of a logged-in user, as Envoy sends it."""
    return request("/check/graphql", headers={"authorization": f"Bearer {world.token}"})


def site_check_of(world: World) -> bytes:
    """A check of a storefront."""
    return request("/check/graphql", headers={"x-proofgraph-site-key": world.site_key})


@asynccontextmanager
async def peers(folder: Path, world: World) -> AsyncIterator[dict[str, Target]]:
    """The same check without our protocol, and the bound."""
    stock, bound = free_port(), free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "router.authz.app:app", "--port", str(stock)]
    uvicorn += ["--no-access-log", "--log-level", "warning"]
    constant = [sys.executable, "-m", "tests.bench.constant_server", str(bound)]
    async with (
        running(
            uvicorn, ready=f"http://127.0.0.1:{stock}/healthz", log=folder / "stock.log"
        ) as stock_pid,
        running(
            constant, ready=f"http://127.0.0.1:{bound}/", log=folder / "bound.log"
        ) as bound_pid,
    ):
        yield {
            "check.starlette": Target(stock, lambda: check_of(world), {"authz": stock_pid}),
            "check.bound": Target(bound, lambda: check_of(world), {"authz": bound_pid}),
        }


def report(figures: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The figures and the ratios that matter."""

    def ratio(one: str, other: str) -> float:
        return round(float(figures[one]["per_second"]) / float(figures[other]["per_second"]), 2)

    def cpu(name: str) -> float:
        return float(figures[name]["cpu_us"]["authz"])

    return {
        "bench": "edge",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "connections": CONNECTIONS,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "figures": figures,
        "check_to_starlette": ratio("check.user", "check.starlette"),
        "check_to_bound": ratio("check.user", "check.bound"),
        "check_cpu_to_starlette": round(cpu("check.user") / cpu("check.starlette"), 2),
        "public_to_router": ratio("typename.public", "typename.router"),
    }


if __name__ == "__main__":
    asyncio.run(main())
