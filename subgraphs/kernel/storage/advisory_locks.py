"""Advisory locks of PostgreSQL: one holder at a time, over all processes.

    async with advisory_lock("archive") as connection:
        if connection is None: return   # another process holds the lock

The connection holds the lock. A holder that dies or loses the connection loses the lock with it, so
only the holder can write through that connection.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kernel import db

_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")


@asynccontextmanager
async def advisory_lock(name: str) -> AsyncIterator[AsyncConnection | None]:
    """Yields a connection of the worker's role that holds the lock, or None if another holds it."""
    async with db.worker_engine().connect() as connection:
        held = await connection.scalar(_LOCK, {"name": name})
        await connection.commit()
        if not held:
            yield None
            return
        try:
            yield connection
        finally:
            await _release(connection, name)


async def _release(connection: AsyncConnection, name: str) -> None:
    try:
        await connection.rollback()
        await connection.execute(_UNLOCK, {"name": name})
        await connection.commit()
    except DBAPIError:
        await connection.invalidate()  # closing the connection releases the lock
    except BaseException:
        await connection.invalidate()
        raise
