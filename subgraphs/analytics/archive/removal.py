"""STORED to DROPPED: rows leave PostgreSQL, exactly those that the archive has."""

import tempfile
import time
from typing import Any

import pyarrow.parquet as pq
from anyio import to_thread
from sqlalchemy import func, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from subgraphs.analytics.archive.cold_storage import copy_of, fetch
from subgraphs.analytics.archive.models import Archive, ArchiveShare
from subgraphs.analytics.archive.parquet import TIME_OF, to_rows
from subgraphs.analytics.archive.staging import staging_prefix
from subgraphs.kernel.storage import objects

_BATCH_ROWS = 5_000

COMPARE_TIMEOUT = "25s"
"""Some thirty million rows; well within a turn, so that there is time left for deleting."""

_NOT_NOW = ("57014", "55P03")
"""PostgreSQL's SQLSTATEs of a statement that took too long, and of a lock that was not to be had:
whoever reads the table, as an export does for minutes, holds up the drop."""

_WITHIN = text("SELECT set_config('statement_timeout', :timeout, true)")

_DROP = text("SELECT drop_archived(:table, :partition)")


async def drop_whole(connection: AsyncConnection, table: str, partition: str) -> bool:
    """Drop a partition if all that stands in it is stored.

    False if something else is, if it is too large to be compared in time, or if somebody reads it:
    its rows can still be deleted by their keys, a batch at a time.
    """
    async with AsyncSession(connection) as session:
        await session.execute(_WITHIN, {"timeout": COMPARE_TIMEOUT})
        try:
            dropped = await session.scalar(_DROP, {"table": table, "partition": partition})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _NOT_NOW:
                raise
            await session.rollback()
            return False
        await session.commit()
    return bool(dropped)


async def delete_rows(connection: AsyncConnection, archive: Archive, deadline: float) -> bool:
    """Delete the rows in the staged file by their keys; False where time was up before the end.

    Raises:
        NotAsWritten: there is no file now that is what was archived; nothing is deleted then.
    """
    key = await to_thread.run_sync(copy_of, archive)
    with tempfile.TemporaryFile() as file:
        await to_thread.run_sync(fetch, key, str(archive.sha256), file)
        names = ["site_id", TIME_OF[archive.table_name], "id", "event_type"]
        passed = 0
        for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=names):
            passed += batch.num_rows
            if passed <= archive.removed:
                continue
            if time.monotonic() > deadline:
                return False
            await _delete(connection, archive, to_rows(batch.select(names)), passed)
    async with AsyncSession(connection) as session:
        await _mark(session, archive)
        await session.commit()
    return True


async def clean_up(connection: AsyncConnection, archive: Archive) -> None:
    """Let go of the readable copies; the archive itself is the one in GLACIER."""
    await to_thread.run_sync(objects.delete_all, staging_prefix(archive.id))
    async with AsyncSession(connection) as session:
        (await session.get_one(Archive, archive.id)).staging_key = None
        await session.commit()


async def _delete(
    connection: AsyncConnection, archive: Archive, keys: list[tuple[Any, ...]], passed: int
) -> None:
    at = TIME_OF[archive.table_name]
    statement = text(f"""
        DELETE FROM {archive.table_name} e
        USING unnest(CAST(:sites AS uuid[]), CAST(:times AS timestamptz[]),
                     CAST(:ids AS uuid[]), CAST(:types AS text[])) AS k (site_id, at, id, type)
        WHERE e.site_id = k.site_id AND e.{at} = k.at AND e.id = k.id AND e.event_type = k.type
            AND e.{at} >= :start AND e.{at} < :end""")  # noqa: S608  # one of our two tables
    sites, times, ids, types = map(list, zip(*keys, strict=True))
    async with AsyncSession(connection) as session:
        await session.execute(
            statement,
            {
                "sites": sites,
                "times": times,
                "ids": ids,
                "types": types,
                "start": archive.range_start,
                "end": archive.range_end,
            },
        )
        (await session.get_one(Archive, archive.id)).removed = passed
        await session.commit()


async def _mark(session: AsyncSession, archive: Archive) -> None:
    found = await session.get_one(Archive, archive.id)
    found.status, found.dropped_at = "DROPPED", func.now()
    await session.execute(
        update(ArchiveShare).where(ArchiveShare.archive_id == archive.id).values(status="ARCHIVED")
    )
