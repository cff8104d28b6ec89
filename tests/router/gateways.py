"""Both ways to serve the graph, started over the tiny subgraphs."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fixtures.ports import free_port
from tests.fixtures.programs import ROOT, running
from tests.router.tiny_graph import SCHEMAS

SUPERGRAPH = """\
federation_version: "=2.14.4"
subgraphs:
  users:
    routing_url: http://127.0.0.1:1/not-this-one
    schema: { file: schema/users.graphql }
  sites:
    routing_url: http://127.0.0.1:1/not-this-one
    schema: { file: schema/sites.graphql }
"""


def composed(folder: Path) -> Path:
    """The tiny supergraph, composed in a folder."""
    (folder / "schema").mkdir()
    (folder / "supergraph.yaml").write_text(SUPERGRAPH)
    for name, schema in SCHEMAS.items():
        (folder / "schema" / f"{name}.graphql").write_text(schema.as_str())
    compose(folder / "supergraph.yaml").check_returncode()
    return folder / "schema" / "supergraph.graphql"


def compose(*arguments: Path | str) -> "subprocess.CompletedProcess[str]":
    command = ["node", str(ROOT / "router" / "compose.mjs"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def router_binary() -> str:
    """Apollo Router, or a skip where there is none; in CI there must be one."""
    found = os.environ.get("APOLLO_ROUTER") or shutil.which("router")
    beside = ROOT.parent / "shared" / "bin" / "router"
    if not found and beside.exists():
        found = str(beside)
    if not found and os.environ.get("CI"):
        pytest.fail("CI needs Apollo Router: set APOLLO_ROUTER or run `make router`")
    if not found:
        pytest.skip("no Apollo Router: set APOLLO_ROUTER or run `make router`")
    return found


@asynccontextmanager
async def router(supergraph: Path, subgraphs: dict[str, str], log: Path) -> AsyncIterator[str]:
    """Apollo Router; gives its address."""
    port, health_port = free_port(), free_port()
    command = [router_binary(), "--config", "router/router.yaml", "--supergraph", str(supergraph)]
    env = {
        **subgraphs,
        "ROUTER_PORT": str(port),
        "ROUTER_HEALTH_PORT": str(health_port),
        "APOLLO_TELEMETRY_DISABLED": "1",
    }
    ready = f"http://127.0.0.1:{health_port}/health?ready"
    async with running(command, ready=ready, log=log, env=env):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def gateway(supergraph: Path, subgraphs: dict[str, str], log: Path) -> AsyncIterator[str]:
    """The embedded gateway; gives its address."""
    port = free_port()
    command = ["node", "router/gateway.mjs", str(supergraph)]
    env = {**subgraphs, "ROUTER_PORT": str(port)}
    async with running(command, ready=f"http://127.0.0.1:{port}/healthz", log=log, env=env):
        yield f"http://127.0.0.1:{port}"
