"""The examples of docs/subscriptions.md, run as they stand: each resumes after a cut connection."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from router.subscriptions import ws
from tests.fixtures.network_proxy import Proxy, proxy_to
from tests.fixtures.programs import ROOT
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers

DOCUMENT = (ROOT / "docs" / "subscriptions.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", DOCUMENT, flags=re.DOTALL))

RUNNER = """
import { createRequire } from "node:module";
import { subscribeToClaims } from "./example.mjs";

const webSocketImpl = globalThis.WebSocket ?? createRequire(import.meta.url)("ws");
const [url, siteKey] = process.argv.slice(2);
subscribeToClaims({
  url,
  siteKey,
  onClaim: (claim) => console.log(JSON.stringify(claim)),
  webSocketImpl,
  OPTIONS
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
});
"""


JAVASCRIPT = pytest.mark.parametrize("name", ["graphql-ws", "apollo", "urql"])


@JAVASCRIPT
async def test_a_javascript_example_resumes(stack: GatewayStack, tmp_path: Path, name: str) -> None:
    async with (
        proxy_to(stack.ports["gateway"]) as proxy,
        _example(tmp_path, name, proxy, stack) as claims,
    ):
        assert await _across(stack, claims, proxy.cut) == [1, 2, 3, 4, 5]


@JAVASCRIPT
async def test_a_javascript_example_notices_a_dead_socket(
    stack: GatewayStack, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 14: as on a phone that wakes, the socket looks open and nothing arrives.

    With the example's own values, 15 s and 5 s, a dead socket is noticed within 20 s.
    """
    monkeypatch.setattr(ws, "PING_SECONDS", 1)
    pings = "keepAlive: 500, pongWait: 300,"
    async with (
        proxy_to(stack.ports["gateway"]) as proxy,
        _example(tmp_path, name, proxy, stack, pings) as claims,
    ):
        assert await _across(stack, claims, proxy.freeze) == [1, 2, 3, 4, 5]


async def test_the_python_example_resumes(stack: GatewayStack) -> None:
    scope: dict[str, Any] = {}
    exec(EXAMPLES["gql"], scope)  # noqa: S102  (our own document)
    async with proxy_to(stack.ports["gateway"]) as proxy:
        address = proxy.url.replace("http", "ws") + "/graphql"
        async with aclosing(scope["subscribe_to_claims"](address, stack.key)) as claims:
            assert await _across(stack, claims, proxy.cut) == [1, 2, 3, 4, 5]


async def _across(
    stack: GatewayStack, claims: AsyncIterator[dict[str, Any]], fail: Callable[[], None]
) -> list[int]:
    """Returns the numbers of the claims that a client gets; it loses its connection between."""
    first = asyncio.ensure_future(anext(claims))
    await stack.wait_for_subscribers(1)
    await stack.publish(1)
    seen = [await first]
    await stack.publish(2)
    seen.append(await anext(claims))
    fail()
    await stack.publish(3, 4)
    async with asyncio.timeout(20):
        seen += [await anext(claims), await anext(claims)]
        await stack.publish(5)
        seen.append(await anext(claims))
    return numbers(seen)


@asynccontextmanager
async def _example(
    folder: Path, name: str, proxy: Proxy, stack: GatewayStack, options: str = ""
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Runs a JavaScript example; gives the claims that it gets."""
    (folder / "socket.mjs").write_text(EXAMPLES["socket"])
    (folder / "example.mjs").write_text(EXAMPLES[name])
    (folder / "run.mjs").write_text(RUNNER.replace("OPTIONS", options))
    (folder / "node_modules").symlink_to(ROOT / "snippet" / "node_modules")
    address = proxy.url.replace("http", "ws") + "/graphql"
    async with _lines(["node", str(folder / "run.mjs"), address, stack.key]) as claims:
        yield claims


@asynccontextmanager
async def _lines(command: list[str]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    stdout = process.stdout
    assert stdout is not None

    async def read() -> AsyncIterator[dict[str, Any]]:
        while line := await stdout.readline():
            yield json.loads(line)

    try:
        yield read()
    finally:
        process.kill()
        await process.wait()
