"""The process's pool of asyncpg connections with the worker's role.

    async with worker_pool.acquire() as connection:
        await connection.execute(...)

For the few statements that run for hundreds of rows or hundreds of times a second. All others use
the sessions of `db`. A checkout costs no round trip: there is neither a ping nor a reset, so nobody
may change a session's settings on these connections.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

from subgraphs.kernel.config import settings
from subgraphs.kernel.db import ANSWER_SECONDS

IDLE_IN_TRANSACTION_SECONDS = 10
"""PostgreSQL ends a transaction whose process hangs for this long, and frees its locks."""

CHECKOUT_SECONDS = 10.0
"""Longest time to connect, and to cancel a statement whose caller has given up."""

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

_pool: "asyncpg.Pool[asyncpg.Record] | None" = None


@asynccontextmanager
async def acquire() -> AsyncIterator[Connection]:
    """Yields a connection."""
    async with (await _connected()).acquire(timeout=CHECKOUT_SECONDS) as connection:
        yield connection


async def ping() -> None:
    """Return if PostgreSQL answers; raises the driver's error if it does not."""
    async with acquire() as connection:
        await connection.fetchval("SELECT 1")


async def dispose() -> None:
    """Close the connections of this process."""
    global _pool
    if _pool is not None:
        pool, _pool = _pool, None
        await pool.close()


async def _connected() -> "asyncpg.Pool[asyncpg.Record]":
    global _pool
    if _pool is None:
        _pool = asyncpg.create_pool(
            settings().worker_database_url.get_secret_value(),
            min_size=0,
            max_size=settings().database_pool_size,
            command_timeout=ANSWER_SECONDS,
            reset=_keep_session,
            server_settings={
                "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s"
            },
        )
        await _pool  # opens no connection yet, so it does not wait
    return _pool


async def _keep_session(_connection: Any) -> None:
    """Keep the session as it is: asyncpg's own reset is a round trip after each checkout."""
