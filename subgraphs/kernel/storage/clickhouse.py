"""The process's client of ClickHouse, over HTTP."""

from typing import TYPE_CHECKING

from subgraphs.kernel.config import settings

if TYPE_CHECKING:
    from clickhouse_connect.driver.asyncclient import AsyncClient

_client: "AsyncClient | None" = None


async def client() -> "AsyncClient":
    """The one client of this process, in the Proofgraph database."""
    global _client
    if _client is None:
        # With its HTTP client some 0.2 s of a start; many who may dispose of one never have one.
        from clickhouse_connect import get_async_client

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
