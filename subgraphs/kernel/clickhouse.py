"""The process's client of ClickHouse, over HTTP."""

from clickhouse_connect import get_async_client
from clickhouse_connect.driver.asyncclient import AsyncClient

from subgraphs.kernel.config import settings

_client: AsyncClient | None = None


async def client() -> AsyncClient:
    """The one client of this process, in the Proofgraph database."""
    global _client
    if _client is None:
        _client = await get_async_client(
            dsn=settings().clickhouse_url,
            database=settings().clickhouse_database,
            autogenerate_session_id=False,  # a session would serialise concurrent queries
        )
    return _client


async def ping() -> None:
    """Answer if ClickHouse does; raises what the driver raises otherwise."""
    await (await client()).query("SELECT 1")


async def dispose() -> None:
    global _client
    if _client is not None:
        await _client.close()
        _client = None
