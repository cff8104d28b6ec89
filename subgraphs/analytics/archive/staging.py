"""PLANNED to STAGED: rows through a server-side cursor into a Parquet file in S3.

Memory holds one row group and two parts of the upload, whatever the number of rows.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
from anyio import to_thread
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from subgraphs.analytics.archive.models import DEFAULT_DAYS, Archive, ArchiveShare
from subgraphs.analytics.archive.parquet import (
    TIME_OF,
    Column,
    Row,
    columns_of,
    key_of,
    key_text,
    schema_of,
    to_batch,
)
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import objects

PART_ROWS = 500_000
PART_BYTES = 1024 * 1024 * 1024
PART_SECONDS = 40.0
"""A part ends at whichever comes first: it is then staged, checked, copied and removed well within
one task, and below the 5 GB that S3 copies in one call."""

GROUP_ROWS = 20_000
GROUP_BYTES = 32 * 1024 * 1024
"""A row group ends at whichever comes first; this is what memory holds."""

_FETCH_ROWS = 500


@dataclass
class Share:
    """What a part holds of one site."""

    account_id: UUID
    first_at: datetime
    last_at: datetime
    rows: int = 0


@dataclass
class Written:
    """What was written into a part."""

    rows: int = 0
    fingerprint: int = 0
    last_key: list[str] | None = None
    shares: dict[UUID, Share] = field(default_factory=dict)
    has_more: bool = False
    """Whether it ended before the rows did."""

    def take(self, table: str, columns: Sequence[Column], rows: Sequence[Row]) -> list[Row]:
        """Count rows in; answers them without their fingerprints."""
        names = [column.name for column in columns]
        site, account = names.index("site_id"), names.index("account_id")
        at, id_, type_ = names.index(TIME_OF[table]), names.index("id"), names.index("event_type")
        for row in rows:
            share = self.shares.get(row[site])
            if share is None:
                share = self.shares[row[site]] = Share(row[account], row[at], row[at])
            share.rows += 1
            share.last_at = row[at]
            self.fingerprint += row[-1]
        last = rows[-1]
        self.last_key = key_text((last[site], last[at], last[id_], last[type_]))
        self.rows += len(rows)
        return [tuple(row)[:-1] for row in rows]


async def stage(connection: AsyncConnection, archive: Archive) -> None:
    """Write a part under a name of this attempt's own, then say so; without rows it is no part."""
    key = f"{staging_prefix(archive.id)}{new_id()}.parquet"
    driver: Any = (await connection.get_raw_connection()).driver_connection
    columns = await columns_of(driver, archive.table_name)
    async with objects.uploading(key) as upload:
        written = await _write(driver, archive, columns, upload)
    async with AsyncSession(connection, expire_on_commit=False) as session:
        found = await session.get_one(Archive, archive.id)
        if written.rows:
            found.status, found.staged_at, found.staging_key = "STAGED", datetime.now(UTC), key
            found.rows, found.bytes, found.sha256 = written.rows, upload.bytes, upload.sha256
            found.fingerprint, found.last_key = written.fingerprint, written.last_key
            found.has_more = written.has_more
            session.add_all(_shares(found, written))
        else:
            await session.delete(found)
        await session.commit()
    if not written.rows:
        await to_thread.run_sync(objects.delete, key)


def staging_prefix(archive_id: UUID) -> str:
    return f"staging/{archive_id}/"


async def _write(
    driver: asyncpg.Connection, archive: Archive, columns: Sequence[Column], upload: objects.Upload
) -> Written:
    written, group = Written(), _Group(columns)
    deadline = time.monotonic() + PART_SECONDS
    schema = schema_of(columns)
    with pq.ParquetWriter(upload, schema, compression="zstd") as writer:
        async with aclosing(_rows(driver, archive, columns)) as lists:
            async for rows in lists:
                group.add(written.take(archive.table_name, columns, rows))
                if not group.is_full:
                    continue
                await to_thread.run_sync(writer.write_table, group.take())
                full = written.rows >= PART_ROWS or upload.bytes >= PART_BYTES
                if full or time.monotonic() > deadline:
                    written.has_more = True
                    break
        if group.rows:
            await to_thread.run_sync(writer.write_table, group.take())
    return written


class _Group:
    """What becomes the next row group."""

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
    """The unit's rows behind the part before, by key; the last value is the row's fingerprint."""
    at = TIME_OF[archive.table_name]
    key = f"e.site_id, e.{at}, e.id, e.event_type"
    chosen = ", ".join(column.selected("e") for column in columns)
    statement = f"""
        SELECT {chosen}, row_fingerprint({key})
        FROM {archive.table_name} e LEFT JOIN tenants t USING (site_id)
        WHERE e.{at} >= $1 AND e.{at} < $2 AND coalesce(t.retention_days, $3) = $4
            AND ($5::uuid IS NULL OR ({key}) > ($5::uuid, $6::timestamptz, $7::uuid, $8::text))
        ORDER BY {key}"""  # noqa: S608  # names are the catalogue's, and our two tables'
    after = key_of(archive.after_key) if archive.after_key else (None, None, None, None)
    asked = (archive.range_start, archive.range_end, DEFAULT_DAYS, archive.retention_days, *after)
    async with driver.transaction(readonly=True):
        cursor = await driver.cursor(statement, *asked)
        while rows := await cursor.fetch(_FETCH_ROWS):
            yield rows


def _shares(archive: Archive, written: Written) -> list[ArchiveShare]:
    return [
        ArchiveShare(
            id=new_id(),
            archive_id=archive.id,
            account_id=share.account_id,
            site_id=site_id,
            table_name=archive.table_name,
            range_start=archive.range_start,
            range_end=archive.range_end,
            first_at=share.first_at,
            last_at=share.last_at,
            rows=share.rows,
            sha256=archive.sha256,
            status="ARCHIVING",
        )
        for site_id, share in written.shares.items()
    ]
