"""Restores: a site's archived rows become readable for some days.

    REQUESTED -> WAITING -> LOADING -> READY -> EXPIRED

Rows are loaded into the schema `restored`, one partition for each restore, with row-level security.
"""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog
from anyio import to_thread
from sqlalchemy import or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from subgraphs.analytics.archive.cold_storage import ArchiveMismatch, fetch
from subgraphs.analytics.archive.lifecycle import retry_delay
from subgraphs.analytics.archive.models import Archive, ArchiveRestore, ArchiveShare
from subgraphs.analytics.archive.parquet import columns_in, to_rows
from subgraphs.kernel import db
from subgraphs.kernel.retry import is_store_fault
from subgraphs.kernel.storage import objects
from subgraphs.kernel.storage.advisory_locks import advisory_lock

log = structlog.stdlib.get_logger(__name__)

POLL_INTERVAL = timedelta(minutes=5)
"""Seconds between two checks whether an archive is readable, which takes three to five hours."""

SPARE_DAYS = 1
"""The archive stays readable this much longer, in case loading is late."""

UNFINISHED = ("REQUESTED", "WAITING", "LOADING")

_OPEN_PARTITION = text("SELECT open_restored(:id, :table)")
_CLOSE_PARTITION = text("SELECT close_restored(:id, :table)")


async def due(now: datetime | None = None) -> list[UUID]:
    """The restores that can be advanced or have expired, oldest first."""
    now = now or datetime.now(UTC)
    advances = ArchiveRestore.status.in_(UNFINISHED) & (ArchiveRestore.next_attempt_at <= now)
    expires = (ArchiveRestore.status == "READY") & (ArchiveRestore.expires_at <= now)
    statement = select(ArchiveRestore.id).where(or_(advances, expires)).order_by(ArchiveRestore.id)
    async with db.service_transaction() as session:
        return list(await session.scalars(statement))


async def advance(restore_id: UUID, now: datetime | None = None) -> None:
    """Advance a restore as far as possible. Does nothing while another worker holds its lock."""
    now = now or datetime.now(UTC)
    async with advisory_lock(f"restore:{restore_id}") as connection:
        while connection is not None:
            async with AsyncSession(connection, expire_on_commit=False) as session:
                restore = await session.get(ArchiveRestore, restore_id)
                await session.commit()
                if restore is None or not await _step(session, restore, now):
                    return


async def _step(session: AsyncSession, restore: ArchiveRestore, now: datetime) -> bool:
    """Advance by one step; False if nothing more can be done now."""
    restore_id = restore.id
    try:
        match restore.status:
            case "REQUESTED":
                await _request(session, restore)
            case "WAITING":
                return await _poll(session, restore, now)
            case "LOADING":
                await _load(session, restore)
            case "READY" if restore.expires_at is not None and restore.expires_at <= now:
                await session.execute(
                    _CLOSE_PARTITION, {"id": restore.id, "table": restore.table_name}
                )
                restore.status = "EXPIRED"
                await session.commit()
            case _:
                return False
    except Exception as error:
        await session.rollback()
        await _schedule_retry(restore_id, error)
        if not isinstance(error, ArchiveMismatch) and not is_store_fault(error):
            raise
        log.warning("restore_step_failed", restore=str(restore_id), error=str(error))
        return False
    return True


async def _request(session: AsyncSession, restore: ArchiveRestore) -> None:
    archive = await _archive_of(session, restore)
    key = str(archive.key)
    if await to_thread.run_sync(objects.head, key) is None:
        raise ArchiveMismatch(f"{key} is missing")
    await to_thread.run_sync(objects.restore, key, restore.days + SPARE_DAYS)
    restore.status, restore.attempts, restore.error = "WAITING", 0, None
    await session.commit()


async def _poll(session: AsyncSession, restore: ArchiveRestore, now: datetime) -> bool:
    archive = await _archive_of(session, restore)
    found = await to_thread.run_sync(objects.head, str(archive.key))
    if found is not None and found.is_readable:
        restore.status = "LOADING"
    else:
        restore.next_attempt_at = now + POLL_INTERVAL
    await session.commit()
    return restore.status == "LOADING"


async def _load(session: AsyncSession, restore: ArchiveRestore) -> None:
    """Load all rows in one transaction, so that an interrupted load leaves nothing behind."""
    archive = await _archive_of(session, restore)
    with tempfile.TemporaryFile() as file:
        await to_thread.run_sync(fetch, str(archive.key), str(archive.sha256), file)
        await session.execute(_OPEN_PARTITION, {"id": restore.id, "table": restore.table_name})
        rows = 0
        for table in _rows_of_site(pq.ParquetFile(file), restore.site_id):
            await _insert(await session.connection(), restore, table, rows)
            rows += table.num_rows
    now = datetime.now(UTC)
    restore.status, restore.rows, restore.error = "READY", rows, None
    restore.ready_at, restore.expires_at = now, now + timedelta(days=restore.days)
    await session.commit()


def _rows_of_site(file: "pq.ParquetFile", site_id: UUID) -> Iterator["pa.Table"]:
    """A site's rows, one row group at a time."""
    site = pa.scalar(site_id.bytes, pa.binary(16))
    for number in range(file.num_row_groups):
        sites = file.read_row_group(number, columns=["site_id"]).column(0)
        storage = pa.chunked_array([chunk.storage for chunk in sites.chunks], pa.binary(16))
        mask = pc.equal(storage, site)
        if pc.any(mask).as_py():
            yield file.read_row_group(number).filter(mask)


async def _insert(
    connection: AsyncConnection, restore: ArchiveRestore, table: "pa.Table", offset: int
) -> None:
    """Copy rows by way of a temporary table: COPY FROM refuses tables with row-level security."""
    columns = columns_in(table.schema)
    staged = f"staged_{restore.id.hex}"  # asyncpg caches the types of a table by its name
    declared = ", ".join(
        f'"{column.name}" {column.type if column.is_exact else "text"}' for column in columns
    )
    listed = ", ".join(f'"{column.name}"' for column in columns)
    values = ", ".join(f'CAST("{column.name}" AS {column.type})' for column in columns)
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.execute(f"CREATE TEMP TABLE {staged} (position bigint, {declared})")
    rows = [row for batch in table.to_batches() for row in to_rows(batch)]
    numbered = [(offset + number, *row) for number, row in enumerate(rows)]
    await driver.copy_records_to_table(staged, records=numbered)
    # The file's checksum was verified, so its column names are those that the catalogue had when it
    # was written. A check constraint limits the table's name to the two archived tables.
    await driver.execute(
        f"INSERT INTO restored.{restore.table_name} (restore_id, position, {listed})"  # noqa: S608
        f" SELECT $1, position, {values} FROM {staged}",
        restore.id,
    )
    await driver.execute(f"DROP TABLE {staged}")


async def _archive_of(session: AsyncSession, restore: ArchiveRestore) -> Archive:
    share = await session.get_one(ArchiveShare, restore.share_id)
    archive = await session.get_one(Archive, share.archive_id)
    await session.commit()
    return archive


async def _schedule_retry(restore_id: UUID, error: Exception) -> None:
    async with db.service_transaction() as session:
        restore = await session.get_one(ArchiveRestore, restore_id)
        restore.attempts += 1
        restore.next_attempt_at = datetime.now(UTC) + retry_delay(restore.attempts)
        restore.error = f"{type(error).__name__}: {error}"[:500]
