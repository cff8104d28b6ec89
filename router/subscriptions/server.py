"""The process of the gateway: start and graceful shutdown."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import structlog

from router.subscriptions.gateway import Gateway
from subgraphs.kernel import redis
from subgraphs.kernel.redis import invalidation

log = structlog.stdlib.get_logger(__name__)

SHUTDOWN_SECONDS = 2.0
"""How long clients may take to answer the close frame. The connections end spread over half of it,
so that not all clients connect again in the same instant."""

_HTTP_TIMEOUT = 10.0
"""Seconds a request to authz or the router may take."""

_ACCEPT_BACKLOG = 4096
"""Connections that the operating system queues: after a restart all clients connect at once."""

_SHUTDOWN_STEPS = 20


async def serve(host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with serving(host, port):
        log.info("listening", host=host, port=port)
        await stopped.wait()
    await redis.dispose()


@asynccontextmanager
async def serving(host: str, port: int) -> AsyncIterator[Gateway]:
    """Gives a gateway that listens on this address until the end of the block."""
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient(timeout=_HTTP_TIMEOUT) as client:
        gateway = Gateway(client)
        server = await loop.create_server(
            gateway.new_connection, host, port, backlog=_ACCEPT_BACKLOG
        )
        try:
            async with invalidation.subscribed(gateway.service.authz.invalidate):
                yield gateway
        finally:
            server.close()
            await _end_connections(gateway)
            gateway.close()


async def _end_connections(gateway: Gateway) -> None:
    """Ends every subscription, spread over time, then cuts the clients that do not answer."""
    connections = gateway.connections
    step = max(1, -(-len(connections) // _SHUTDOWN_STEPS))
    for start in range(0, len(connections), step):
        for connection in connections[start : start + step]:
            connection.shut_down()
        await asyncio.sleep(SHUTDOWN_SECONDS / 2 / _SHUTDOWN_STEPS)
    for _ in range(_SHUTDOWN_STEPS):
        if not gateway.connections:
            return
        await asyncio.sleep(SHUTDOWN_SECONDS / 2 / _SHUTDOWN_STEPS)
    for connection in gateway.connections:
        connection.abort()
