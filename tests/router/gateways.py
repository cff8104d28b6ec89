"""Starts Apollo Router or the embedded gateway over the tiny subgraphs."""

import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.local.tools import find_node, find_router
from tests.fixtures.ports import free_port
from tests.fixtures.programs import ROOT, running
from tests.router.tiny_graph import SCHEMAS

SUPERGRAPH = """\
federation_version: "=2.14.4"
subgraphs:
  users:
    routing_url: http://127.0.0.1:1/unused
    schema: { file: schema/users.graphql }
  sites:
    routing_url: http://127.0.0.1:1/unused
    schema: { file: schema/sites.graphql }
"""


def compose(*arguments: Path | str) -> "subprocess.CompletedProcess[str]":
    """Runs router/compose.mjs."""
    command = [str(find_node()), str(ROOT / "router" / "compose.mjs"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def tiny_supergraph(folder: Path) -> Path:
    """Writes supergraph.yaml and the tiny subgraphs' schemas to a folder; returns the former."""
    (folder / "schema").mkdir()
    for name, schema in SCHEMAS.items():
        (folder / "schema" / f"{name}.graphql").write_text(schema.as_str())
    config = folder / "supergraph.yaml"
    config.write_text(SUPERGRAPH)
    return config


@asynccontextmanager
async def serve_graph(kind: str, folder: Path, urls: Mapping[str, str]) -> AsyncIterator[str]:
    """Serves the folder's supergraph; gives the base URL.

    Args:
        kind: "router" or "embedded".
        urls: the subgraphs' URLs, by environment variable.
    """
    port, health = free_port(), free_port()
    supergraph = str(folder / "schema" / "supergraph.graphql")
    if kind == "router":
        command = [router_binary(), "--config", "router/router.yaml", "--supergraph", supergraph]
        ready = f"http://127.0.0.1:{health}/health?ready"
    else:
        command = [str(find_node()), "router/gateway.mjs", supergraph]
        ready = f"http://127.0.0.1:{port}/healthz"
    env = {**urls, "ROUTER_PORT": str(port), "ROUTER_HEALTH_PORT": str(health)}
    env["APOLLO_TELEMETRY_DISABLED"] = "1"
    async with running(command, ready=ready, log=folder / f"{kind}.log", env=env):
        yield f"http://127.0.0.1:{port}"


def router_binary() -> str:
    """Returns the path of Apollo Router. Without one the test is skipped; in CI it fails."""
    found = find_router()
    beside = ROOT.parent / "shared" / "bin" / "router"
    if found is None and beside.exists():
        found = beside
    if found is None and os.environ.get("CI"):
        pytest.fail("CI needs Apollo Router: name one in APOLLO_ROUTER")
    if found is None:
        pytest.skip("no Apollo Router: name one in APOLLO_ROUTER, or run `make router`")
    return str(found)
