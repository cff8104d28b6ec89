"""Which units are due, and their way through the states."""

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import case, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from subgraphs.analytics.archive import cold_storage, removal, staging
from subgraphs.analytics.archive.models import DEFAULT_DAYS, Archive
from subgraphs.analytics.archive.parquet import TIME_OF
from subgraphs.kernel import db
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.retry import is_store_fault
from subgraphs.kernel.storage.advisory_locks import advisory_lock

log = logging.getLogger(__name__)

_MOST_DOUBLINGS = 12
"""Past LONGEST_PAUSE long since."""

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)
"""Between tries of a step that failed; kept in the row, so that no worker has to remember it."""


class Partition(NamedTuple):
    """A partition of one of the two tables, `end` not included."""

    table: str
    name: str
    start: datetime
    end: datetime


_PARTITIONS = text(
    "SELECT name, range_start, range_end FROM partitions_of(:table)"
    " WHERE range_end <= :latest ORDER BY range_start"
)
_CLASSES = text("SELECT DISTINCT retention_days FROM tenants")


async def plan(now: datetime | None = None) -> int:
    """Begin a unit wherever a partition is past a class's retention and has rows of it.

    Nothing is begun where one is under way. Answers how many were begun. Partitions past all
    retention with nothing in them are dropped.
    """
    now = now or datetime.now(UTC)
    async with db.service_transaction() as session:
        classes = sorted({DEFAULT_DAYS, *await session.scalars(_CLASSES)})
        found = [
            Partition(table, *row)
            for table in TIME_OF
            for row in await session.execute(
                _PARTITIONS, {"table": table, "latest": now - timedelta(days=classes[0])}
            )
        ]
    begun = 0
    for partition in found:
        due = [days for days in classes if partition.end <= now - timedelta(days=days)]
        async with db.service_transaction() as session:
            for days in due:
                begun += await _begin(session, partition, days)
            # The drop keeps writers out while it counts; where anything stands it is for nothing.
            if await _has_rows(session, partition):
                continue
        async with advisory_lock(_lock_of(partition.table, partition.name)) as connection:
            if connection is not None:
                await removal.drop_whole(connection, partition.table, partition.name)
    return begun


async def due(now: datetime | None = None) -> list[tuple[str, str]]:
    """(table, partition) of what has still a step to go and may be tried now, oldest first."""
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
    """Take a partition's units as far as they go until the deadline (time.monotonic).

    Nothing is done where another worker is at it. A step that fails is tried again later; errors
    that are no store's fault are raised.
    """
    async with advisory_lock(_lock_of(table, partition)) as connection:
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
                await _put_off(archive.id, error)
                if isinstance(error, cold_storage.NotAsWritten) or is_store_fault(error):
                    log.warning("archive %s waits: %s", archive.id, error)
                    return
                raise


async def _step(
    connection: AsyncConnection, archive: Archive, archives: list[Archive], deadline: float
) -> bool:
    """One step of the first one that is not through; False where it must be gone on with later."""
    match archive.status:
        case "PLANNED":
            await staging.stage(connection, archive)
        case "STAGED" | "VERIFIED" as status:
            await _keep(connection, archive.id, status)
        case "STORED":
            # All of the partition's are: what is unfinished comes first.
            if await removal.drop_whole(connection, archive.table_name, archive.partition):
                return True
            return await removal.delete_rows(connection, archive, deadline)
        case _:
            await removal.clean_up(connection, archive)
    return True


async def _keep(connection: AsyncConnection, archive_id: UUID, status: str) -> None:
    async with AsyncSession(connection, expire_on_commit=False) as session:
        archive = await session.get_one(Archive, archive_id)
        await session.commit()
        try:
            await (cold_storage.verify if status == "STAGED" else cold_storage.store)(
                session, archive
            )
        except cold_storage.NotAsWritten:
            await session.rollback()
            found = await session.get_one(Archive, archive_id)
            await _begin_again(session, found)
            await session.commit()
            raise
        archive.attempts, archive.error = 0, None
        await session.commit()


async def _begin_again(session: AsyncSession, archive: Archive) -> None:
    """Nothing has left PostgreSQL: the part can be written anew."""
    await session.execute(
        text("DELETE FROM archive_shares WHERE archive_id = :id"), {"id": archive.id}
    )
    archive.status, archive.staging_key = "PLANNED", None


async def _unfinished(connection: AsyncConnection, table: str, partition: str) -> list[Archive]:
    place = case({"STORED": 1, "DROPPED": 2}, value=Archive.status, else_=0)
    statement = (
        select(Archive)
        .where(
            Archive.table_name == table,
            Archive.partition == partition,
            or_(Archive.status != "DROPPED", Archive.staging_key.is_not(None)),
        )
        .order_by(place, Archive.retention_days, Archive.part)
    )
    async with AsyncSession(connection, expire_on_commit=False) as session:
        found = list(await session.scalars(statement))
        await session.commit()
    return found


async def _begin(session: AsyncSession, partition: Partition, days: int) -> int:
    at = TIME_OF[partition.table]
    asked = {"days": days, "start": partition.start, "end": partition.end, "default": DEFAULT_DAYS}
    has_rows = await session.scalar(
        text(f"""
            SELECT EXISTS (SELECT FROM {partition.table} e LEFT JOIN tenants t USING (site_id)
            WHERE e.{at} >= :start AND e.{at} < :end
                AND coalesce(t.retention_days, :default) = :days)"""),  # noqa: S608  # ours
        asked,
    )
    if not has_rows:
        return 0
    found = await session.execute(
        select(func.max(Archive.part), func.bool_or(Archive.status != "DROPPED")).where(
            Archive.table_name == partition.table,
            Archive.partition == partition.name,
            Archive.retention_days == days,
        )
    )
    last, is_under_way = found.one()
    if is_under_way:
        # What of it is stored stands there still, and would be in two files. What has come since
        # gets its part when that is deleted.
        return 0
    statement = (
        insert(Archive)
        .values(
            id=new_id(),
            table_name=partition.table,
            partition=partition.name,
            range_start=partition.start,
            range_end=partition.end,
            retention_days=days,
            part=0 if last is None else last + 1,
            status="PLANNED",
        )
        .on_conflict_do_nothing()  # another was here in between
        .returning(Archive.id)
    )
    return int(await session.scalar(statement) is not None)


async def _has_rows(session: AsyncSession, partition: Partition) -> bool:
    at = TIME_OF[partition.table]
    statement = text(f"""
        SELECT EXISTS (SELECT FROM {partition.table} e
        WHERE e.{at} >= :start AND e.{at} < :end)""")  # noqa: S608  # one of our two tables
    asked = {"start": partition.start, "end": partition.end}
    return bool(await session.scalar(statement, asked))


async def _put_off(archive_id: UUID, error: Exception) -> None:
    async with db.service_transaction() as session:
        archive = await session.get(Archive, archive_id)
        if archive is None:
            return
        archive.attempts += 1
        archive.error = f"{type(error).__name__}: {error}"[:500]
        archive.next_attempt_at = datetime.now(UTC) + pause(archive.attempts)


def pause(attempts: int) -> timedelta:
    """How long to wait after so many failures in a row."""
    doubled: int = 2 ** min(attempts - 1, _MOST_DOUBLINGS)
    return min(FIRST_PAUSE * doubled, LONGEST_PAUSE)


def _lock_of(table: str, partition: str) -> str:
    return f"archive:{table}:{partition}"
