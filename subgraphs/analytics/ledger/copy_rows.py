"""COPY, on the driver's own connection and inside the session's transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

_NOT_SO = (
    asyncpg.UniqueViolationError,
    asyncpg.CheckViolationError,  # no partition for a row, or another one
    asyncpg.UndefinedTableError,
)


async def copy(
    session: AsyncSession, table: str, fields: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Copy rows in. The session must have begun: the driver by itself would copy outside of it."""
    raw = await (await session.connection()).get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.copy_records_to_table(table, records=rows, columns=fields)


async def copied(
    session: AsyncSession, table: str, fields: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> bool:
    """Copy rows straight into where they belong, if each is new and the partition is there.

    Returns:
        Whether they are in; if not, nothing was done.
    """
    try:
        async with session.begin_nested():
            await copy(session, table, fields, rows)
    except _NOT_SO:
        return False
    return True
