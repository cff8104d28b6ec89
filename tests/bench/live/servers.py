"""The servers, each alone on one core: nchan, stock Strawberry, and our subscription gateway."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from subgraphs.kernel import live, redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.ids import new_id
from tests.fixtures.keys import PUBLIC
from tests.fixtures.ports import free_port, wait_for_port
from tests.fixtures.valkey import Valkey
from tests.router.subscriptions.gateway_stack import GatewayStack

NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_NGINX = """
load_module {module};
worker_processes 1;
daemon off;
user root;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  nchan_shared_memory_size 512M;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  scgi_temp_path {folder}; uwsgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location /graphql {{ nchan_subscriber websocket; nchan_channel_id claims;
                         nchan_subscriber_first_message newest; }}
    location /publish {{ nchan_publisher; nchan_channel_id claims;
                         nchan_message_buffer_length 5000; }}
  }}
}}
"""

FRAME_SIZE = 268
"""Bytes of a nchan message; with its header as long as the frames of the other servers."""

Publish = Callable[[list[str]], Awaitable[None]]


@dataclass
class Server:
    """A running server.

    Attributes:
        publish: publishes messages with these texts, in order.
        site_key: the key to subscribe with; empty for a server without GraphQL.
    """

    name: str
    port: int
    pid: int
    publish: Publish
    site_key: str = ""

    def cpu_seconds(self) -> float:
        """Processor time of all its processes since they began."""
        process = psutil.Process(self.pid)
        times = [it.cpu_times() for it in (process, *process.children(recursive=True))]
        return sum(it.user + it.system for it in times)

    def resident_bytes(self) -> int:
        """Private memory of all its processes; pages that they share count once."""
        process = psutil.Process(self.pid)
        everything = (process, *process.children(recursive=True))
        return sum(it.memory_full_info().pss for it in everything)


def ensure_nchan() -> None:
    """Exits with a message if nginx or its nchan module is missing."""
    if shutil.which("nginx", path="/usr/sbin:/usr/bin") is None or not NCHAN_MODULE.exists():
        sys.exit("The peer is missing: apt-get install nginx libnginx-mod-nchan, as root.")


@asynccontextmanager
async def nchan(core: int, folder: Path) -> AsyncIterator[Server]:
    """Nginx with nchan: each message is one WebSocket frame, from memory."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(module=NCHAN_MODULE, folder=folder, port=port))
    with _process(["/usr/sbin/nginx", "-c", str(config)], port, core) as pid:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def publish(texts: list[str]) -> None:
            """Sends pipelined requests: the publisher must not limit the server."""
            for text in texts:
                body = text.ljust(FRAME_SIZE, "x").encode()
                head = f"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
            for _ in texts:
                head_lines = await reader.readuntil(b"\r\n\r\n")
                length = int(head_lines.lower().partition(b"content-length: ")[2].split()[0])
                await reader.readexactly(length)

        yield Server("nchan", port, pid, publish)
        writer.close()


@asynccontextmanager
async def stock(core: int) -> AsyncIterator[Server]:
    """Strawberry's ASGI view under uvicorn."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.bench.live.stock:app", "--port", str(port)]
    command += ["--no-access-log", "--loop", "uvloop", "--ws", "websockets-sansio"]
    command += [
        "--ws-per-message-deflate",
        "false",
        "--ws-ping-interval",
        "3600",
        "--backlog",
        "4096",
        "--log-level",
        "warning",
    ]
    with _process(command, port, core) as pid:
        async with httpx.AsyncClient(timeout=60) as client:

            async def publish(texts: list[str]) -> None:
                await client.post(f"http://127.0.0.1:{port}/publish", json=texts)

            yield Server("stock", port, pid, publish, "any")


@asynccontextmanager
async def gateway(core: int, folder: Path) -> AsyncIterator[Server]:
    """Our gateway as a process, with a subgraph, an authz and a Valkey on the other core."""
    os.makedirs(folder, exist_ok=True)
    valkey = Valkey(folder)
    valkey.start()
    stack = GatewayStack(valkey)
    os.environ.update(stack.environment, VIEWER_VERIFY_KEY=PUBLIC, LOG_LEVEL="WARNING")
    settings.cache_clear()
    for name in ("authz", "router", "subgraph"):
        await stack.start(name)
    port = stack.ports["gateway"]
    command = [sys.executable, "-m", "router.subscriptions", "--port", str(port)]
    try:
        with _process(command, port, core) as pid:

            async def publish(texts: list[str]) -> None:
                channel = live.claims_of(stack.site)
                await live.publish_all([(channel, new_id(), {"text": text}) for text in texts])

            yield Server("gateway", port, pid, publish, stack.key)
    finally:
        await asyncio.gather(*(stack.stop(name) for name in ("authz", "router", "subgraph")))
        await live.dispose()
        await redis.dispose()
        valkey.kill()


@contextmanager
def _process(command: list[str], port: int, core: int) -> Iterator[int]:
    process = subprocess.Popen(
        command, preexec_fn=lambda: os.sched_setaffinity(0, {core}), stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port(port, seconds=60)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
