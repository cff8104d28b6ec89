"""PostGraphile, the peer of `bench-graph` with row security; installed once, outside the tree."""

import asyncio
import os
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local.stack.stack import Stack
from subgraphs.kernel.identity.viewer import Viewer
from tests.fixtures.ports import free_port
from tests.fixtures.programs import running

PACKAGES = ("postgraphile@4",)

DOCUMENT = """
query Sites($first: Int!) {
  allSites(first: $first) {
    edges { node { id name domain siteKey createdAt } }
  }
}
"""

_SCRIPT = Path(__file__).with_name("postgraphile.mjs")
_READY = "ready"


def folder() -> Path:
    """Where PostGraphile is installed: `PROOFGRAPH_CACHE`, or the user's cache folder."""
    cache = os.environ.get("PROOFGRAPH_CACHE") or Path.home() / ".cache" / "proofgraph"
    return Path(cache) / "postgraphile"


async def install() -> bool:
    """Install PostGraphile if it is missing; False if npm cannot."""
    target = folder()
    if (target / "node_modules" / "postgraphile").exists():
        return True
    target.mkdir(parents=True, exist_ok=True)
    (target / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=target, stdout=DEVNULL, stderr=DEVNULL
    )
    return await process.wait() == 0


@asynccontextmanager
async def postgraphile(stack: Stack, viewer: Viewer, log: Path) -> AsyncIterator[tuple[int, int]]:
    """Run it as the app's role with the viewer's settings; yields its port and its pid."""
    port = free_port()
    env = {
        "MODULES": str(folder()),
        "PORT": str(port),
        "DATABASE_URL": stack.env["DATABASE_URL"],
        "ACCOUNTS": ",".join(map(str, viewer.account_ids)),
        "VIEWER": str(viewer.id),
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    ready = f"http://127.0.0.1:{port}/{_READY}"
    async with running(["node", str(_SCRIPT)], ready=ready, log=log, env=env) as pid:
        yield port, pid
