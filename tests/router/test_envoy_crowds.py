"""Many who are slow, or are kept waiting, do not shut a door for the others."""

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
from tests.router.echo import Echo, seen

CROWD = 2_100
"""More than the 1024 connections and 1024 waiting requests that Envoy allows of its own accord."""

AT_ONCE = 100
"""Connections opened at a time: the system keeps no thousands that nobody has accepted."""


@asynccontextmanager
async def crowd(address: str, request: Sequence[str]) -> AsyncIterator[None]:
    """So many connections, on each of which this has been said and no more."""
    host = urlsplit(address)
    said = "\r\n".join([*request, "", "x"]).encode()
    async with AsyncExitStack() as stack:
        for _ in range(CROWD // AT_ONCE):
            opening = (asyncio.open_connection(host.hostname, host.port) for _ in range(AT_ONCE))
            for _, writer in await asyncio.gather(*opening):
                stack.callback(writer.close)
                writer.write(said)
                await writer.drain()
        yield


def post_of(path: str, length: int) -> list[str]:
    return [f"POST {path} HTTP/1.1", "host: proofgraph.test", f"content-length: {length}"]


async def test_half_sent_requests_do_not_keep_an_event_from_its_202(
    ingest: IngestProcess, tmp_path: Path
) -> None:
    shop = await new_shop()
    async with (
        envoy({"ingest": ingest.port}, tmp_path) as address,
        crowd(address, post_of("/v1/events", 2)),
        httpx.AsyncClient(base_url=address) as client,
    ):
        answer = await client.post("/v1/events", json=body(shop, shown()))

    assert answer.status_code == 202, answer.text


async def test_half_sent_webhooks_do_not_keep_another_out(tmp_path: Path) -> None:
    async with (
        serving(Echo("inbox")) as port,
        envoy({"inbox": port}, tmp_path) as address,
        crowd(address, post_of("/hooks/shopify/1", 2)),
        httpx.AsyncClient(base_url=address) as client,
    ):
        assert seen(await client.post("/hooks/shopify/2", json={})).app == "inbox"


class Keeping(Echo):
    """Answers nobody whose body is one byte long until it may."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.kept = 0
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (b"content-length", b"1") in scope.get("headers", ()):
            self.kept += 1
            await self.may_answer.wait()
        await super().__call__(scope, receive, send)

    async def count(self) -> int:
        return self.kept


@pytest.mark.parametrize(("name", "path"), [("ingest", "/v1/events"), ("inbox", "/hooks/a/1")])
async def test_those_who_are_kept_waiting_do_not_keep_another_out(
    tmp_path: Path, name: str, path: str
) -> None:
    app = Keeping(name)
    async with (
        serving(app) as port,
        envoy({name: port}, tmp_path) as address,
        crowd(address, post_of(path, 1)),
        httpx.AsyncClient(base_url=address) as client,
    ):
        await eventually(app.count, lambda count: count == CROWD)
        answer = await client.post(path, json={})
        app.may_answer.set()

    assert seen(answer).app == name
