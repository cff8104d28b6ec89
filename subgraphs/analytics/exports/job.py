"""The making of an export, part by part."""

import logging
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

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

log = logging.getLogger(__name__)

KEPT = timedelta(days=7)
"""How long the file can be fetched."""

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=1)
MOST_ATTEMPTS = 12
"""Failures in a row, each waited for twice as long as the one before up to the longest: some five
hours in all."""

_MOST_DOUBLINGS = 9
"""Past LONGEST_PAUSE."""

OPEN = ("QUEUED", "RUNNING")


class Piece(NamedTuple):
    """What becomes a part of the file."""

    data: bytes
    rows: int
    last_key: list[str] | None
    is_last: bool


async def due(now: datetime | None = None) -> list[UUID]:
    """Exports that have something to be done, oldest first: to go on with, or to let go of."""
    moment = now or datetime.now(UTC)
    is_open = Export.status.in_(OPEN)
    is_over = (Export.status == "READY") & (Export.expires_at <= moment)
    is_left = (Export.status == "FAILED") & Export.key.is_not(None)
    statement = (
        select(Export.id)
        .where(or_(is_open, is_over, is_left), Export.next_attempt_at <= moment)
        .order_by(Export.id)
    )
    async with db.service_transaction() as session:
        return list(await session.scalars(statement))


async def advance(export_id: UUID, deadline: float, now: datetime | None = None) -> bool:
    """Go on with an export until the deadline (time.monotonic); True if there is more to do.

    Nothing is done where another worker is at it.
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
            if export.status in OPEN:
                return await _make(session, connection, export, deadline)
            await _let_go(session, export, now or datetime.now(UTC))
            return False
        except Exception as error:
            await session.rollback()
            await _put_off(export_id, error)
            if not is_store_fault(error) and not isinstance(error, objects.NoSuchObject):
                raise
            log.warning("export %s: %s", export_id, error)
            return False


async def _let_go(session: AsyncSession, export: Export, now: datetime) -> None:
    """Delete what S3 has of a file that is over, or of one that nobody will finish."""
    if export.key is None:
        return
    if export.status == "READY" and export.expires_at and export.expires_at <= now:
        await to_thread.run_sync(objects.delete, export.key)
        export.status = "EXPIRED"
    elif export.status == "FAILED":
        await to_thread.run_sync(objects.delete_all, export.key)
        export.key = export.upload_id = None
    await session.commit()


async def _make(
    session: AsyncSession, connection: AsyncConnection, export: Export, deadline: float
) -> bool:
    while export.status in OPEN:
        if time.monotonic() > deadline:
            return True
        if export.upload_id is None:
            await _begin(session, connection, export)
        await _next_part(session, connection, export)
    return False


async def _begin(session: AsyncSession, connection: AsyncConnection, export: Export) -> None:
    key = f"exports/{export.site_id}/{export.id}.{SUFFIXES[export.format]}"
    await to_thread.run_sync(objects.delete_all, key)  # what an attempt before may have left
    export.rows_expected = await rows.count(connection, export)
    export.key, export.upload_id = key, await to_thread.run_sync(objects.start_upload, key)
    export.status, export.started_at = "RUNNING", export.started_at or datetime.now(UTC)
    export.rows, export.bytes, export.etags, export.last_key = 0, 0, [], None
    await session.commit()


async def _next_part(session: AsyncSession, connection: AsyncConnection, export: Export) -> None:
    key, upload_id = str(export.key), str(export.upload_id)
    number = len(export.etags) + 1
    piece = await _piece(connection, export)
    if piece.data or number == 1:
        part = await to_thread.run_sync(objects.upload_part, key, upload_id, number, piece.data)
        export.etags = [*export.etags, part.etag]
        export.rows += piece.rows
        export.bytes += len(piece.data)
        export.last_key = piece.last_key or export.last_key
        export.attempts, export.error = 0, None
        await session.commit()
    if piece.is_last:
        await _finish(session, export)


async def _piece(connection: AsyncConnection, export: Export) -> Piece:
    """The next lines, as many as make a part."""
    write = WRITERS[export.format]
    data = bytearray(HEADERS[export.format] if not export.etags else b"")
    count, last_key, is_last = 0, None, True
    async with aclosing(rows.lines(connection, export)) as lists:
        async for some in lists:
            data += write(some)
            count += len(some)
            last_key = rows.key_text(some[-1])
            if len(data) >= objects.PART_BYTES:
                is_last = False
                break
    await connection.rollback()
    return Piece(bytes(data), count, last_key, is_last)


async def _finish(session: AsyncSession, export: Export) -> None:
    """Make the object; one that was killed in between finds it made."""
    key, upload_id = str(export.key), str(export.upload_id)
    parts = [Part(number, etag) for number, etag in enumerate(export.etags, 1)]
    try:
        await to_thread.run_sync(objects.complete_upload, key, upload_id, parts)
    except objects.NoSuchObject:
        found = await to_thread.run_sync(objects.head, key)
        if found is None or found.bytes != export.bytes:
            await _begin_again(session, export)
            return
    now = datetime.now(UTC)
    export.status, export.finished_at, export.expires_at = "READY", now, now + KEPT
    await session.commit()


async def _begin_again(session: AsyncSession, export: Export) -> None:
    export.upload_id = None
    await session.commit()


async def _put_off(export_id: UUID, error: Exception) -> None:
    """Try later, or give up; what S3 no longer knows is begun again."""
    async with db.service_transaction() as session:
        export = await session.get_one(Export, export_id)
        export.attempts += 1
        export.error = f"{type(error).__name__}: {error}"[:500]
        export.next_attempt_at = datetime.now(UTC) + pause(export.attempts)
        if isinstance(error, objects.NoSuchObject):
            export.upload_id = None
        if export.attempts >= MOST_ATTEMPTS and export.status in OPEN:
            export.status, export.finished_at = "FAILED", datetime.now(UTC)


def pause(attempts: int) -> timedelta:
    """How long to wait after so many failures in a row."""
    doubled: int = 2 ** min(attempts - 1, _MOST_DOUBLINGS)
    return min(FIRST_PAUSE * doubled, LONGEST_PAUSE)
