"""Thousands of slow or pending requests do not block another client."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.fixtures.deadline import eventually
from tests.fixtures.ingest import IngestProcess, body, shown
from tests.fixtures.ingest import ingest as ingest
from tests.fixtures.ingest import ingest_process as ingest_process
from tests.fixtures.serving import serving
from tests.fixtures.shop import new_shop
from tests.router.conftest import envoy
from tests.router.echo import Echo, received

CONNECTIONS = 2_100
"""More than the 1024 connections and 1024 pending requests of Envoy's default limits."""

AT_ONCE = 100
"""Connections opened at a time: the listen backlog does not hold thousands."""


@asynccontextmanager
async def flood(address: str, request: Sequence[str]) -> AsyncIterator[None]:
    """Opens `CONNECTIONS` connections, and sends the same unfinished request on each."""
    host = urlsplit(address)
    sent = "\r\n".join([*request, "", "x"]).encode()
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS // AT_ONCE):
            opening = (asyncio.open_connection(host.hostname, host.port) for _ in range(AT_ONCE))
            for _, writer in await asyncio.gather(*opening):
                stack.callback(writer.close)
                writer.write(sent)
                await writer.drain()
        yield


def post_of(path: str, length: int) -> list[str]:
    return [f"POST {path} HTTP/1.1", "host: proofgraph.test", f"content-length: {length}"]


async def test_half_sent_requests_do_not_block_ingest(
    ingest: IngestProcess, tmp_path: Path
) -> None:
    shop = await new_shop()
    async with (
        envoy({"ingest": ingest.port}, tmp_path) as address,
        flood(address, post_of("/v1/events", 2)),
        httpx.AsyncClient(base_url=address) as client,
    ):
        response = await client.post("/v1/events", json=body(shop, shown()))

    assert response.status_code == 202, response.text


async def test_half_sent_webhooks_do_not_block_another(tmp_path: Path) -> None:
    async with (
        serving(Echo("inbox")) as port,
        envoy({"inbox": port}, tmp_path) as address,
        flood(address, post_of("/hooks/shopify/1", 2)),
        httpx.AsyncClient(base_url=address) as client,
    ):
        assert received(await client.post("/hooks/shopify/2", json={})).app == "inbox"


class PendingEcho(Echo):
    """Holds back its response to bodies of one byte until `may_respond` is set."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.pending = 0
        self.may_respond = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (b"content-length", b"1") in scope.get("headers", ()):
            self.pending += 1
            await self.may_respond.wait()
        await super().__call__(scope, receive, send)

    async def count(self) -> int:
        return self.pending


@pytest.mark.parametrize(("name", "path"), [("ingest", "/v1/events"), ("inbox", "/hooks/a/1")])
async def test_pending_requests_do_not_block_another(tmp_path: Path, name: str, path: str) -> None:
    app = PendingEcho(name)
    async with (
        serving(app) as port,
        envoy({name: port}, tmp_path) as address,
        flood(address, post_of(path, 1)),
        httpx.AsyncClient(base_url=address) as client,
    ):
        await eventually(app.count, lambda count: count == CONNECTIONS)
        response = await client.post(path, json={})
        app.may_respond.set()

    assert received(response).app == name
