"""STORED to DROPPED: deletes from PostgreSQL exactly the rows that are archived."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow.parquet as pq
from anyio import to_thread
from sqlalchemy import TextClause, func, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from subgraphs.analytics.archive.cold_storage import fetch, readable_key
from subgraphs.analytics.archive.models import Archive, ArchiveShare
from subgraphs.analytics.archive.parquet import TIME_COLUMNS, to_rows
from subgraphs.analytics.archive.staging import staging_prefix
from subgraphs.kernel.storage import objects

_BATCH_ROWS = 5_000

COMPARE_TIMEOUT = "25s"
"""Enough for about thirty million rows, and short enough to leave time for deleting by key."""

_Key = tuple[Any, ...]
"""Site, time, id and event type of a row."""

_RETRYABLE_STATES = ("57014", "55P03")
"""SQLSTATE codes: `query_canceled` (the timeout) and `lock_not_available`. A reader of the table,
like an export that runs for minutes, blocks the drop."""

_SET_TIMEOUT = text("SELECT set_config('statement_timeout', :timeout, true)")

_DROP = text("SELECT drop_archived(:table, :partition)")

# TimescaleDB decompresses rows before it deletes them, by default at most 100,000 in a transaction.
# Where it is not installed, PostgreSQL accepts the name as a custom setting without effect.
_ALLOW_DECOMPRESSION = text(
    "SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)"
)


async def drop_whole(connection: AsyncConnection, table: str, partition: str) -> bool:
    """Drop a partition if all its rows are STORED.

    Returns False if it has other rows, if comparing them exceeds `COMPARE_TIMEOUT`, or if a reader
    locks the table. Its archived rows can still be deleted by key.
    """
    async with AsyncSession(connection) as session:
        await session.execute(_SET_TIMEOUT, {"timeout": COMPARE_TIMEOUT})
        try:
            dropped = await session.scalar(_DROP, {"table": table, "partition": partition})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _RETRYABLE_STATES:
                raise
            await session.rollback()
            return False
        await session.commit()
    return bool(dropped)


async def delete_rows(connection: AsyncConnection, archive: Archive, deadline: float) -> bool:
    """Delete the rows in the staged file by key; False if the deadline passes before the end.

    Raises:
        ArchiveMismatch: no readable copy has the archived checksum. Nothing is deleted.
    """
    key = await to_thread.run_sync(readable_key, archive)
    with tempfile.TemporaryFile() as file:
        await to_thread.run_sync(fetch, key, str(archive.sha256), file)
        names = ["site_id", TIME_COLUMNS[archive.table_name], "id", "event_type"]
        position = 0
        for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=names):
            position += batch.num_rows
            if position <= archive.removed:
                continue
            if time.monotonic() > deadline:
                return False
            await _delete(connection, archive, to_rows(batch.select(names)), position)
    async with AsyncSession(connection) as session:
        await _mark_dropped(session, archive)
        await session.commit()
    return True


async def clean_up(connection: AsyncConnection, archive: Archive) -> None:
    """Delete the staged files; the archive in GLACIER remains."""
    await to_thread.run_sync(objects.delete_all, staging_prefix(archive.id))
    async with AsyncSession(connection) as session:
        (await session.get_one(Archive, archive.id)).staging_key = None
        await session.commit()


async def _delete(
    connection: AsyncConnection, archive: Archive, keys: list[_Key], position: int
) -> None:
    statement = _delete_statement(archive.table_name)
    async with AsyncSession(connection) as session:
        await session.execute(_ALLOW_DECOMPRESSION)
        for run in _runs(keys):
            sites, times, ids, types = map(list, zip(*run, strict=True))
            await session.execute(
                statement,
                {
                    "sites": sites,
                    "times": times,
                    "ids": ids,
                    "types": types,
                    "distinct_sites": list(set(sites)),
                    "first": min(times),
                    "last": max(times),
                },
            )
        (await session.get_one(Archive, archive.id)).removed = position
        await session.commit()


def _delete_statement(table: str) -> TextClause:
    """Deletes rows by key.

    The last two conditions follow from the join. Only they, as constants, exclude partitions and
    the compressed batches of other sites and times, which TimescaleDB would decompress otherwise.
    """
    at = TIME_COLUMNS[table]
    return text(f"""
        DELETE FROM {table} e
        USING unnest(CAST(:sites AS uuid[]), CAST(:times AS timestamptz[]),
                     CAST(:ids AS uuid[]), CAST(:types AS text[])) AS k (site_id, at, id, type)
        WHERE e.site_id = k.site_id AND e.{at} = k.at AND e.id = k.id AND e.event_type = k.type
            AND e.site_id = ANY (CAST(:distinct_sites AS uuid[]))
            AND e.{at} BETWEEN :first AND :last""")  # noqa: S608  # constant names


def _runs(keys: Sequence[_Key]) -> Iterator[list[_Key]]:
    """The keys, which are ordered by site, in at most three runs: the first site's, the last
    site's, and all between them.

    The first and the last site may have more rows than this batch, so each needs time bounds of its
    own.
    """
    first, last = keys[0][0], keys[-1][0]
    for _, run in groupby(keys, lambda key: (key[0] == first, key[0] == last)):
        yield list(run)


async def _mark_dropped(session: AsyncSession, archive: Archive) -> None:
    found = await session.get_one(Archive, archive.id)
    found.status, found.dropped_at = "DROPPED", func.now()
    await session.execute(
        update(ArchiveShare).where(ArchiveShare.archive_id == archive.id).values(status="ARCHIVED")
    )
