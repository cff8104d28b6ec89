"""The process of the ingest endpoint: start, time limits, graceful shutdown."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from subgraphs.analytics.ingest.connection import Connection, Connections
from subgraphs.analytics.ingest.endpoint import IngestEndpoint
from subgraphs.kernel import metrics
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, LEDGER_GROUP

log = structlog.stdlib.get_logger(__name__)

SHUTDOWN_SECONDS = 3.0
"""How long a shutdown waits for pending responses; the store may take two seconds of it."""

_ACCEPT_BACKLOG = 2048
"""Connections that the operating system queues while the process is busy."""

_CHECK_SECONDS = 1.0
"""Seconds between two checks of the time limits."""


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with serving(host, port), metrics.exposed(EVENTS_TOPIC, LEDGER_GROUP):
        log.info("listening", host=host, port=port)
        await stopped.wait()
    await event_streams.dispose()


@asynccontextmanager
async def serving(host: str, port: int) -> AsyncIterator[IngestEndpoint]:
    """A server on this address until the end of the block."""
    loop = asyncio.get_running_loop()
    endpoint = IngestEndpoint()
    connections = Connections(endpoint.handle, now=loop.time())
    server = await loop.create_server(
        lambda: Connection(connections), host, port, backlog=_ACCEPT_BACKLOG
    )
    time_limits = asyncio.create_task(_enforce_time_limits(connections))
    try:
        async with invalidation.subscribed(endpoint.invalidate):
            yield endpoint
    finally:
        server.close()
        await _drain(connections)
        time_limits.cancel()
        await endpoint.close()


async def _enforce_time_limits(connections: Connections) -> None:
    while True:
        connections.enforce_time_limits(asyncio.get_running_loop().time())
        await asyncio.sleep(_CHECK_SECONDS)


async def _drain(connections: Connections) -> None:
    """Close each connection once its requests are answered, or when the time is over."""
    for connection in tuple(connections.open):
        connection.finish()
    if connections.open:
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await connections.all_closed.wait()
    for connection in tuple(connections.open):
        connection.abort()
