"""COPY on the driver's own connection, inside the session's transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

_NOT_COPIED = (
    asyncpg.UniqueViolationError,
    asyncpg.CheckViolationError,  # a row's partition is missing, or is another one
    asyncpg.UndefinedTableError,
)


async def copy_rows(
    session: AsyncSession, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Copy rows into a table.

    The session's transaction must have begun: otherwise the driver copies outside of it.
    """
    raw = await (await session.connection()).get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.copy_records_to_table(table, records=rows, columns=columns)


async def try_copy_rows(
    session: AsyncSession, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> bool:
    """Copy rows into a table if each row is new and its partition exists.

    Returns:
        Whether all rows were copied; if not, none was.
    """
    try:
        async with session.begin_nested():
            await copy_rows(session, table, columns, rows)
    except _NOT_COPIED:
        return False
    return True
