"""The process's ClickHouse client, over HTTP."""

from typing import TYPE_CHECKING

from subgraphs.kernel.config import settings

if TYPE_CHECKING:
    from clickhouse_connect.driver.asyncclient import AsyncClient

_client: "AsyncClient | None" = None


async def client() -> "AsyncClient":
    """Returns the process's client of the Proofgraph database; connects at the first call."""
    global _client
    if _client is None:
        # Importing it takes 0.2 s, and many processes only ever call `dispose`.
        from clickhouse_connect import get_async_client

        _client = await get_async_client(
            dsn=settings().clickhouse_url,
            database=settings().clickhouse_database,
            autogenerate_session_id=False,  # a session would serialise concurrent queries
        )
    return _client


async def ping() -> None:
    """Returns once ClickHouse has answered; raises the driver's error if it does not."""
    await (await client()).query("SELECT 1")


async def dispose() -> None:
    """Closes the client if this process opened it."""
    global _client
    if _client is not None:
        await _client.close()
        _client = None
