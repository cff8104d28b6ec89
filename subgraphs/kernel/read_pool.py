"""A pool of asyncpg connections for reads; each checkout is one transaction of one viewer.

asyncpg's own pool sends a RESET at each release and shields it in a task. Here nothing needs to be
reset: the viewer's settings are local to the transaction, and a connection that is still in one is
closed, never reused.
"""

import asyncio
from types import TracebackType
from typing import TypeAlias

import asyncpg
import msgspec

from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.reads import ReadSession, Row

Connection: TypeAlias = "asyncpg.Connection[Row]"


class ReadPool:
    """Connections of the app's role.

    Args:
        url: the address of the database.
        size: connections at most; further reads wait.
        timeout: seconds for any statement.
    """

    def __init__(self, url: str, *, size: int, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []

    async def acquire(self) -> Connection:
        """A connection outside any transaction."""
        await self._free.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
            return await self._connect()
        except BaseException:
            self._free.release()
            raise

    def release(self, connection: Connection) -> None:
        """Take a connection back."""
        if connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
        else:
            self._idle.append(connection)
        self._free.release()

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> Connection:
        connection: Connection = await asyncpg.connect(
            self._url, command_timeout=self._timeout, record_class=Row
        )
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name,
                schema="pg_catalog",
                encoder=lambda value: msgspec.json.encode(value).decode(),
                decoder=msgspec.json.decode,
            )
        return connection


class Read:
    """One transaction of a viewer, as an async context manager."""

    def __init__(self, pool: ReadPool, viewer: Viewer) -> None:
        self._pool = pool
        self._viewer = viewer

    async def __aenter__(self) -> ReadSession:
        self._connection = await self._pool.acquire()
        try:
            await self._connection.execute(_begin(self._viewer))
        except BaseException:
            self._pool.release(self._connection)
            raise
        return ReadSession(self._connection)

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            # A cancelled read leaves its transaction to `release`, which closes the connection.
            if not isinstance(error, asyncio.CancelledError) and not self._connection.is_closed():
                await self._connection.execute("ROLLBACK" if error else "COMMIT")
        finally:
            self._pool.release(self._connection)


def _begin(viewer: Viewer) -> str:
    """The transaction with the viewer's settings, in one round trip.

    The values are UUIDs, hexadecimal digits and hyphens, so they need no escaping.
    """
    accounts = ",".join([str(account) for account in viewer.account_ids])
    user_id = str(viewer.id) if viewer.kind == "user" else ""
    return (
        "BEGIN READ ONLY;"
        f"SET LOCAL proofgraph.accounts = '{accounts}';"
        f"SET LOCAL proofgraph.\"user\" = '{user_id}'"
    )
