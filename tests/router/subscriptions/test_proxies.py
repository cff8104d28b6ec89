"""Case 23: event streams and WebSockets through a proxy that compresses and buffers."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from router.subscriptions import sse
from tests.fixtures.ports import free_port, wait_for_port
from tests.router.subscriptions.clients import SECONDS, Events, live, socket, subscribed
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  scgi_temp_path {folder}; uwsgi_temp_path {folder};
  gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any;
  proxy_buffering on; proxy_buffers 8 64k;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{target};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }}
  }}
  map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
}}
"""
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx")


@pytest.fixture
async def nginx(stack: GatewayStack, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an nginx before the gateway, with compression and buffering on."""
    port = free_port()
    folder = tmp_path / "nginx"
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, target=stack.ports["gateway"]))
    process = await asyncio.create_subprocess_exec(
        str(NGINX), "-c", str(config), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await asyncio.to_thread(wait_for_port, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def test_events_and_keep_alives_are_not_held(
    stack: GatewayStack, nginx: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.5)
    headers = {
        "accept": "text/event-stream",
        "accept-encoding": "br, gzip",
        "x-proofgraph-site-key": stack.key,
    }
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream(
            "POST", f"{nginx}/graphql", json=live(stack.key), headers=headers
        ) as response,
    ):
        stream = Events(response)
        await stack.wait_for_subgraph_subscriptions()
        await stack.publish(1)
        async with asyncio.timeout(1):
            assert numbers(await stream.claims(1)) == [1]
        for _ in range(3):
            assert await stream.receive() == ("", None)


async def test_a_websocket_works(stack: GatewayStack, nginx: str) -> None:
    async with subscribed(nginx, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await stack.publish(1)
        assert numbers(await client.claims(1)) == [1]


@pytest.mark.parametrize("protocol", ["graphql-ws", None])
async def test_the_reason_for_a_wrong_subprotocol_arrives(
    stack: GatewayStack, nginx: str, protocol: str | None
) -> None:
    async with socket(nginx, protocol=protocol) as client:
        code, reason = await client.closed()
    assert code == 4406
    assert "graphql-transport-ws" in reason
