"""PLANNED to STAGED: writes rows from a server-side cursor to a Parquet file in S3.

Memory holds one row group and two parts of the upload, for any number of rows.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
from anyio import to_thread
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from subgraphs.analytics.archive.models import DEFAULT_DAYS, Archive
from subgraphs.analytics.archive.parquet import (
    TIME_COLUMNS,
    Column,
    Row,
    columns_of,
    key_of,
    schema_of,
    to_batch,
)
from subgraphs.analytics.archive.part_summary import PartSummary, shares_of
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import objects

PART_ROWS = 500_000
PART_BYTES = 1024 * 1024 * 1024
PART_SECONDS = 40.0
"""Limits of a part; the first one reached ends it. Each step of such a part fits into one task, and
its file is below the 5 GB that S3 copies in one call."""

GROUP_ROWS = 20_000
GROUP_BYTES = 32 * 1024 * 1024
"""Limits of a row group; the first one reached ends it. They bound the memory in use."""

_FETCH_ROWS = 500


async def stage(connection: AsyncConnection, archive: Archive) -> None:
    """Write a part under a key of this attempt, then store the key in the row.

    Without rows, delete the row and the object.
    """
    key = f"{staging_prefix(archive.id)}{new_id()}.parquet"
    driver: Any = (await connection.get_raw_connection()).driver_connection
    columns = await columns_of(driver, archive.table_name)
    async with objects.uploading(key) as upload:
        summary = await _write(driver, archive, columns, upload)
    async with AsyncSession(connection, expire_on_commit=False) as session:
        found = await session.get_one(Archive, archive.id)
        if summary.rows:
            found.status, found.staged_at, found.staging_key = "STAGED", datetime.now(UTC), key
            found.rows, found.bytes, found.sha256 = summary.rows, upload.bytes, upload.sha256
            found.fingerprint, found.last_key = summary.fingerprint, summary.last_key
            found.has_more = summary.has_more
            session.add_all(shares_of(found, summary))
        else:
            await session.delete(found)
        await session.commit()
    if not summary.rows:
        await to_thread.run_sync(objects.delete, key)


def staging_prefix(archive_id: UUID) -> str:
    """The prefix of the keys of all attempts to stage an archive."""
    return f"staging/{archive_id}/"


async def _write(
    driver: asyncpg.Connection, archive: Archive, columns: Sequence[Column], upload: objects.Upload
) -> PartSummary:
    summary, group = PartSummary(), _RowGroup(columns)
    deadline = time.monotonic() + PART_SECONDS
    schema = schema_of(columns)
    with pq.ParquetWriter(upload, schema, compression="zstd") as writer:
        async with aclosing(_rows(driver, archive, columns)) as batches:
            async for rows in batches:
                group.add(summary.add(archive.table_name, columns, rows))
                if not group.is_full:
                    continue
                await to_thread.run_sync(writer.write_table, group.take())
                full = summary.rows >= PART_ROWS or upload.bytes >= PART_BYTES
                if full or time.monotonic() > deadline:
                    summary.has_more = True
                    break
        if group.rows:
            await to_thread.run_sync(writer.write_table, group.take())
    return summary


class _RowGroup:
    """Collects the batches of the next row group."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._batches: list[pa.RecordBatch] = []
        self.rows = 0
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        return self.rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES

    def add(self, rows: Sequence[Row]) -> None:
        batch = to_batch(self._columns, rows)
        self._batches.append(batch)
        self.rows += batch.num_rows
        self._bytes += batch.nbytes

    def take(self) -> "pa.Table":
        table = pa.Table.from_batches(self._batches).combine_chunks()
        self._batches, self.rows, self._bytes = [], 0, 0
        return table


async def _rows(
    driver: asyncpg.Connection, archive: Archive, columns: Sequence[Column]
) -> AsyncGenerator[Sequence[Any], None]:
    """The unit's rows after the previous part, by key; each ends with the row's fingerprint."""
    at = TIME_COLUMNS[archive.table_name]
    key = f"e.site_id, e.{at}, e.id, e.event_type"
    expressions = ", ".join(column.expression("e") for column in columns)
    statement = f"""
        SELECT {expressions}, row_fingerprint({key})
        FROM {archive.table_name} e LEFT JOIN tenants t USING (site_id)
        WHERE e.{at} >= $1 AND e.{at} < $2 AND coalesce(t.retention_days, $3) = $4
            AND ($5::uuid IS NULL OR ({key}) > ($5::uuid, $6::timestamptz, $7::uuid, $8::text))
        ORDER BY {key}"""  # noqa: S608  # names of the catalogue and constants
    after = key_of(archive.after_key) if archive.after_key else (None, None, None, None)
    values = (archive.range_start, archive.range_end, DEFAULT_DAYS, archive.retention_days, *after)
    async with driver.transaction(readonly=True):
        cursor = await driver.cursor(statement, *values)
        while rows := await cursor.fetch(_FETCH_ROWS):
            yield rows
