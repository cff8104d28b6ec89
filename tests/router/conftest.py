"""Envoy over echoes, with the real authz on the real stores."""

import string
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.authz.check import Check, create_app
from router.authz.signatures import Signatures
from router.authz.viewers import Viewers
from subgraphs.kernel.auth import ViewerSigner
from subgraphs.kernel.sessions import SessionVerifier
from tests.fixtures.ports import free_port
from tests.fixtures.programs import ROOT, running
from tests.fixtures.serving import serving
from tests.router.echo import Echo
from tests.router.keys import PRIVATE, PUBLIC

UPSTREAMS = ("router", "live", "ingest", "inbox", "pages")


@pytest.fixture(scope="session")
async def edge(stores: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of an Envoy whose upstreams all answer."""
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(serving(Echo(name))) for name in UPSTREAMS}
        ports["authz"] = await stack.enter_async_context(serving(authz()))
        yield await stack.enter_async_context(envoy(ports, tmp_path_factory.mktemp("edge")))


@pytest.fixture
async def client(edge: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=edge, timeout=20) as made:
        yield made


@asynccontextmanager
async def envoy(ports: dict[str, int], folder: Path) -> AsyncIterator[str]:
    """Envoy over upstreams on these ports; one without a port is down. Gives its address."""
    own = free_port()
    values = {"LISTEN_ADDRESS": "127.0.0.1", "PORT": own} | {
        f"{name.upper()}_PORT": ports.get(name) or free_port() for name in (*UPSTREAMS, "authz")
    }
    config = folder / "envoy.yaml"
    template = (ROOT / "router" / "envoy.yaml").read_text()
    config.write_text(string.Template(template).substitute(values))
    binary = str(ROOT / ".venv" / "bin" / "envoy")
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    address = f"http://127.0.0.1:{own}"
    log = folder / "envoy.log"
    async with running([binary, "-c", str(config), *options], ready=f"{address}/healthz", log=log):
        yield address


def authz() -> Any:
    """The real service, with the tests' keys."""
    viewers = Viewers(SessionVerifier(PUBLIC), allow_loopback=False)
    return create_app(Check(viewers, Signatures(ViewerSigner(PRIVATE))))
