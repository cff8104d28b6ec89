"""The listening process: it starts, keeps the time, and ends gracefully."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from subgraphs.analytics.ingest.endpoint import Door
from subgraphs.analytics.ingest.protocol import Connection, Connections
from subgraphs.kernel import metrics
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, LEDGER_GROUP

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 3.0
"""How long answers in hand are waited for; the store has two seconds for its own."""

_BACKLOG = 2048
"""Connections the system holds for us while we are busy."""

_LOOK_SECONDS = 1.0


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with serving(host, port), metrics.exposed(EVENTS_TOPIC, LEDGER_GROUP):
        log.info("listening on %s, port %d", host, port)
        await stopped.wait()
    await event_streams.dispose()


@asynccontextmanager
async def serving(host: str, port: int) -> AsyncIterator[Door]:
    """A server on this address until the end of the block."""
    loop = asyncio.get_running_loop()
    door = Door()
    connections = Connections(door.handle, now=loop.time())
    server = await loop.create_server(lambda: Connection(connections), host, port, backlog=_BACKLOG)
    watch = asyncio.create_task(_look(connections))
    try:
        async with invalidation.subscribed(door.invalidate):
            yield door
    finally:
        server.close()
        await _drain(connections)
        watch.cancel()
        await door.close()


async def _look(connections: Connections) -> None:
    while True:
        connections.look(asyncio.get_running_loop().time())
        await asyncio.sleep(_LOOK_SECONDS)


async def _drain(connections: Connections) -> None:
    """Let the clients have their answers, and say goodbye."""
    for connection in tuple(connections.open):
        connection.finish()
    if connections.open:
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await connections.none_left.wait()
    for connection in tuple(connections.open):
        connection.abort()
