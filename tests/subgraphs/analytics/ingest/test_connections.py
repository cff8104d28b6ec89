"""The time limits of a connection."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from subgraphs.analytics.ingest.connection import (
    IDLE_SECONDS,
    LINGER_SECONDS,
    REQUEST_SECONDS,
    Connection,
    Connections,
)
from tests.fixtures.ports import free_port
from tests.fixtures.requests_to_ingest import RawClient, head


@pytest.fixture
async def connections() -> AsyncIterator[tuple[Connections, RawClient]]:
    """A server that never answers and whose clock the test sets, and a client of it."""
    connections = Connections(lambda _: None)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(connections), "127.0.0.1", free_port())
    client = RawClient(*await asyncio.open_connection(*server.sockets[0].getsockname()))
    yield connections, client
    await client.close()
    server.close()
    for connection in tuple(connections.open):
        connection.abort()
    await asyncio.sleep(0.01)


async def test_an_incomplete_request_times_out(
    connections: tuple[Connections, RawClient],
) -> None:
    served, client = connections
    await client.send(head("X-Slow: ")[:-4])
    await asyncio.sleep(0.05)

    served.enforce_time_limits(REQUEST_SECONDS)
    assert len(served.open) == 1
    served.enforce_time_limits(REQUEST_SECONDS + 0.1)
    assert (await client.answer())[0] == 408
    assert await client.is_closed()
    served.enforce_time_limits(REQUEST_SECONDS + 0.2 + LINGER_SECONDS)
    await asyncio.wait_for(served.all_closed.wait(), 5)


async def test_an_idle_connection_is_closed_after_the_limit(
    connections: tuple[Connections, RawClient],
) -> None:
    served, client = connections
    await asyncio.sleep(0.05)

    served.enforce_time_limits(IDLE_SECONDS)
    assert len(served.open) == 1
    served.enforce_time_limits(IDLE_SECONDS + 0.1)
    assert await client.is_closed()
    assert not served.open


async def test_a_connection_with_a_pending_request_is_not_idle(
    connections: tuple[Connections, RawClient],
) -> None:
    served, client = connections
    await client.send(head("Content-Length: 0"))
    await asyncio.sleep(0.05)

    served.enforce_time_limits(IDLE_SECONDS + 0.1)
    await asyncio.sleep(0.05)
    assert len(served.open) == 1
