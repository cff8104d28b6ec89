"""Advances the units of a partition from state to state."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import case, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from subgraphs.analytics.archive import cold_storage, removal, staging
from subgraphs.analytics.archive.models import Archive
from subgraphs.analytics.archive.planning import lock_name
from subgraphs.kernel import db
from subgraphs.kernel.retry import is_store_fault
from subgraphs.kernel.storage.advisory_locks import advisory_lock

log = structlog.stdlib.get_logger(__name__)

FIRST_RETRY_DELAY = timedelta(minutes=1)
MAX_RETRY_DELAY = timedelta(hours=6)
"""Delays after a failed step. The row stores the time of the next attempt, so that no worker has to
remember it."""

_MAX_DOUBLINGS = 12
"""Enough to exceed MAX_RETRY_DELAY."""


async def due(now: datetime | None = None) -> list[tuple[str, str]]:
    """(table, partition) of unfinished units that may be tried now, oldest first."""
    unfinished = or_(Archive.status != "DROPPED", Archive.staging_key.is_not(None))
    statement = (
        select(Archive.table_name, Archive.partition)
        .where(unfinished)
        .group_by(Archive.table_name, Archive.partition)
        .having(func.max(Archive.next_attempt_at) <= (now or datetime.now(UTC)))
        .order_by(func.min(Archive.range_start), Archive.table_name)
    )
    async with db.service_transaction() as session:
        return [(row[0], row[1]) for row in await session.execute(statement)]


async def advance(table: str, partition: str, deadline: float) -> None:
    """Advance the units of a partition until the deadline (`time.monotonic`).

    Does nothing while another worker holds the partition's lock. A failed step is tried again
    later; an error that is not a store's is raised as well.
    """
    async with advisory_lock(lock_name(table, partition)) as connection:
        if connection is None:
            return
        while time.monotonic() < deadline:
            archives = await _unfinished(connection, table, partition)
            if not archives:
                return
            archive = archives[0]
            try:
                if not await _step(connection, archive, archives, deadline):
                    return
            except Exception as error:
                await _schedule_retry(archive.id, error)
                if isinstance(error, cold_storage.ArchiveMismatch) or is_store_fault(error):
                    log.warning("archive_step_failed", archive=str(archive.id), error=str(error))
                    return
                raise


async def _step(
    connection: AsyncConnection, archive: Archive, archives: list[Archive], deadline: float
) -> bool:
    """Advance the first unfinished unit by one step; False if the step needs another turn."""
    match archive.status:
        case "PLANNED":
            await staging.stage(connection, archive)
        case "STAGED" | "VERIFIED" as status:
            await _verify_or_store(connection, archive.id, status)
        case "STORED":
            # All units of the partition are STORED, as `_unfinished` returns these last.
            if await removal.drop_whole(connection, archive.table_name, archive.partition):
                return True
            return await removal.delete_rows(connection, archive, deadline)
        case _:
            await removal.clean_up(connection, archive)
    return True


async def _verify_or_store(connection: AsyncConnection, archive_id: UUID, status: str) -> None:
    async with AsyncSession(connection, expire_on_commit=False) as session:
        archive = await session.get_one(Archive, archive_id)
        await session.commit()
        try:
            await (cold_storage.verify if status == "STAGED" else cold_storage.store)(
                session, archive
            )
        except cold_storage.ArchiveMismatch:
            await session.rollback()
            await _replan(session, await session.get_one(Archive, archive_id))
            await session.commit()
            raise
        archive.attempts, archive.error = 0, None
        await session.commit()


async def _replan(session: AsyncSession, archive: Archive) -> None:
    """Write the part again: all its rows are still in PostgreSQL."""
    await session.execute(
        text("DELETE FROM archive_shares WHERE archive_id = :id"), {"id": archive.id}
    )
    archive.status, archive.staging_key = "PLANNED", None


async def _unfinished(connection: AsyncConnection, table: str, partition: str) -> list[Archive]:
    order = case({"STORED": 1, "DROPPED": 2}, value=Archive.status, else_=0)
    statement = (
        select(Archive)
        .where(
            Archive.table_name == table,
            Archive.partition == partition,
            or_(Archive.status != "DROPPED", Archive.staging_key.is_not(None)),
        )
        .order_by(order, Archive.retention_days, Archive.part)
    )
    async with AsyncSession(connection, expire_on_commit=False) as session:
        archives = list(await session.scalars(statement))
        await session.commit()
    return archives


async def _schedule_retry(archive_id: UUID, error: Exception) -> None:
    async with db.service_transaction() as session:
        archive = await session.get(Archive, archive_id)
        if archive is None:
            return
        archive.attempts += 1
        archive.error = f"{type(error).__name__}: {error}"[:500]
        archive.next_attempt_at = datetime.now(UTC) + retry_delay(archive.attempts)


def retry_delay(attempts: int) -> timedelta:
    """The delay after this number of failures in a row; it doubles with each."""
    factor: int = 2 ** min(attempts - 1, _MAX_DOUBLINGS)
    return min(FIRST_RETRY_DELAY * factor, MAX_RETRY_DELAY)
