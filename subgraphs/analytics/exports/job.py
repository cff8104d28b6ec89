"""The job that writes an export, part by part."""

import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from anyio import to_thread
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from subgraphs.analytics.exports import rows
from subgraphs.analytics.exports.formats import HEADERS, SUFFIXES, WRITERS
from subgraphs.analytics.exports.models import Export
from subgraphs.kernel import db
from subgraphs.kernel.retry import is_store_fault
from subgraphs.kernel.storage import objects
from subgraphs.kernel.storage.advisory_locks import advisory_lock
from subgraphs.kernel.storage.objects import Part

log = structlog.stdlib.get_logger(__name__)

RETENTION = timedelta(days=7)
"""How long the file can be downloaded."""

FIRST_RETRY_DELAY = timedelta(seconds=10)
MAX_RETRY_DELAY = timedelta(hours=1)
MAX_ATTEMPTS = 12
"""Failures in a row after which an export has FAILED. The delay doubles with each failure: about
five hours in all."""

_MAX_DOUBLINGS = 9
"""Enough to exceed MAX_RETRY_DELAY."""

UNFINISHED = ("QUEUED", "RUNNING")


class PartContent(NamedTuple):
    """The content of the next part of the file."""

    data: bytes
    rows: int
    last_key: list[str] | None
    is_last: bool


async def due(now: datetime | None = None) -> list[UUID]:
    """The exports to continue and those whose file is to be deleted, oldest first."""
    now = now or datetime.now(UTC)
    unfinished = Export.status.in_(UNFINISHED)
    expired = (Export.status == "READY") & (Export.expires_at <= now)
    abandoned = (Export.status == "FAILED") & Export.key.is_not(None)
    statement = (
        select(Export.id)
        .where(or_(unfinished, expired, abandoned), Export.next_attempt_at <= now)
        .order_by(Export.id)
    )
    async with db.service_transaction() as session:
        return list(await session.scalars(statement))


async def advance(export_id: UUID, deadline: float, now: datetime | None = None) -> bool:
    """Continue an export until the deadline (`time.monotonic`); True if there is more to do.

    Does nothing while another worker holds the export's lock. A failed attempt is tried again
    later; an error that is not a store's is raised as well.
    """
    async with advisory_lock(f"export:{export_id}") as connection:
        if connection is None:
            return False
        session = AsyncSession(connection, expire_on_commit=False)
        export = await session.get(Export, export_id)
        await session.commit()
        if export is None:
            return False
        try:
            if export.status in UNFINISHED:
                return await _write(session, connection, export, deadline)
            await _delete_file(session, export, now or datetime.now(UTC))
            return False
        except Exception as error:
            await session.rollback()
            await _schedule_retry(export_id, error)
            if not is_store_fault(error) and not isinstance(error, objects.NoSuchObject):
                raise
            log.warning("export_attempt_failed", export=str(export_id), error=str(error))
            return False


async def _delete_file(session: AsyncSession, export: Export, now: datetime) -> None:
    """Delete the file of an expired export, or the unfinished upload of a failed one."""
    if export.key is None:
        return
    if export.status == "READY" and export.expires_at and export.expires_at <= now:
        await to_thread.run_sync(objects.delete, export.key)
        export.status = "EXPIRED"
    elif export.status == "FAILED":
        await to_thread.run_sync(objects.delete_all, export.key)
        export.key = export.upload_id = None
    await session.commit()


async def _write(
    session: AsyncSession, connection: AsyncConnection, export: Export, deadline: float
) -> bool:
    while export.status in UNFINISHED:
        if time.monotonic() > deadline:
            return True
        if export.upload_id is None:
            await _begin(session, connection, export)
        await _next_part(session, connection, export)
    return False


async def _begin(session: AsyncSession, connection: AsyncConnection, export: Export) -> None:
    key = f"exports/{export.site_id}/{export.id}.{SUFFIXES[export.format]}"
    await to_thread.run_sync(objects.delete_all, key)  # a previous attempt may have left an upload
    export.rows_expected = await rows.count(connection, export)
    export.key, export.upload_id = key, await to_thread.run_sync(objects.start_upload, key)
    export.status, export.started_at = "RUNNING", export.started_at or datetime.now(UTC)
    export.rows, export.bytes, export.etags, export.last_key = 0, 0, [], None
    await session.commit()


async def _next_part(session: AsyncSession, connection: AsyncConnection, export: Export) -> None:
    key, upload_id = str(export.key), str(export.upload_id)
    number = len(export.etags) + 1
    content = await _next_content(connection, export)
    if content.data or number == 1:
        part = await to_thread.run_sync(objects.upload_part, key, upload_id, number, content.data)
        export.etags = [*export.etags, part.etag]
        export.rows += content.rows
        export.bytes += len(content.data)
        export.last_key = content.last_key or export.last_key
        export.attempts, export.error = 0, None
        await session.commit()
    if content.is_last:
        await _finish(session, export)


async def _next_content(connection: AsyncConnection, export: Export) -> PartContent:
    """The next rows, as many as fill a part."""
    write = WRITERS[export.format]
    data = bytearray(HEADERS[export.format] if not export.etags else b"")
    count, last_key, is_last = 0, None, True
    async with aclosing(rows.stream_rows(connection, export)) as batches:
        async for batch in batches:
            data += write(batch)
            count += len(batch)
            last_key = rows.key_text(batch[-1])
            if len(data) >= objects.PART_BYTES:
                is_last = False
                break
    await connection.rollback()
    return PartContent(bytes(data), count, last_key, is_last)


async def _finish(session: AsyncSession, export: Export) -> None:
    """Complete the upload. A worker that was killed here before finds the object complete."""
    key, upload_id = str(export.key), str(export.upload_id)
    parts = [Part(number, etag) for number, etag in enumerate(export.etags, 1)]
    try:
        await to_thread.run_sync(objects.complete_upload, key, upload_id, parts)
    except objects.NoSuchObject:
        found = await to_thread.run_sync(objects.head, key)
        if found is None or found.bytes != export.bytes:
            export.upload_id = None  # write the file again
            await session.commit()
            return
    now = datetime.now(UTC)
    export.status, export.finished_at, export.expires_at = "READY", now, now + RETENTION
    await session.commit()


async def _schedule_retry(export_id: UUID, error: Exception) -> None:
    """Retry later, or fail after `MAX_ATTEMPTS`. An upload that S3 lost is started again."""
    async with db.service_transaction() as session:
        export = await session.get_one(Export, export_id)
        export.attempts += 1
        export.error = f"{type(error).__name__}: {error}"[:500]
        export.next_attempt_at = datetime.now(UTC) + retry_delay(export.attempts)
        if isinstance(error, objects.NoSuchObject):
            export.upload_id = None
        if export.attempts >= MAX_ATTEMPTS and export.status in UNFINISHED:
            export.status, export.finished_at = "FAILED", datetime.now(UTC)


def retry_delay(attempts: int) -> timedelta:
    """The delay after this number of failures in a row; it doubles with each."""
    factor: int = 2 ** min(attempts - 1, _MAX_DOUBLINGS)
    return min(FIRST_RETRY_DELAY * factor, MAX_RETRY_DELAY)
