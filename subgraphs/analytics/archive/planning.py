"""Which partitions are past their retention, and the first row of `archives` for each unit."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive import removal
from subgraphs.analytics.archive.models import DEFAULT_DAYS, Archive
from subgraphs.analytics.archive.parquet import TIME_COLUMNS
from subgraphs.kernel import db
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage.advisory_locks import advisory_lock


class Partition(NamedTuple):
    """A partition of `events` or `notification_events`; `end` is exclusive."""

    table: str
    name: str
    start: datetime
    end: datetime


_PARTITIONS = text(
    "SELECT name, range_start, range_end FROM partitions_of(:table)"
    " WHERE range_end <= :latest ORDER BY range_start"
)
_RETENTIONS = text("SELECT DISTINCT retention_days FROM tenants")


async def plan(now: datetime | None = None) -> int:
    """Plan a unit for each partition that has rows past a retention, and return their number.

    A unit that is being archived is not planned again. Empty partitions past every retention are
    dropped.
    """
    now = now or datetime.now(UTC)
    async with db.service_transaction() as session:
        retentions = sorted({DEFAULT_DAYS, *await session.scalars(_RETENTIONS)})
        partitions = [
            Partition(table, *row)
            for table in TIME_COLUMNS
            for row in await session.execute(
                _PARTITIONS, {"table": table, "latest": now - timedelta(days=retentions[0])}
            )
        ]
    planned = 0
    for partition in partitions:
        due = [days for days in retentions if partition.end <= now - timedelta(days=days)]
        async with db.service_transaction() as session:
            for days in due:
                planned += await _plan_unit(session, partition, days)
            # The drop locks writers out while it counts, so it is tried on empty partitions only.
            if await _has_rows(session, partition):
                continue
        async with advisory_lock(lock_name(partition.table, partition.name)) as connection:
            if connection is not None:
                await removal.drop_whole(connection, partition.table, partition.name)
    return planned


async def _has_rows(session: AsyncSession, partition: Partition) -> bool:
    at = TIME_COLUMNS[partition.table]
    statement = text(f"""
        SELECT EXISTS (SELECT FROM {partition.table} e
        WHERE e.{at} >= :start AND e.{at} < :end)""")  # noqa: S608  # constant names
    values = {"start": partition.start, "end": partition.end}
    return bool(await session.scalar(statement, values))


async def _plan_unit(session: AsyncSession, partition: Partition, days: int) -> int:
    at = TIME_COLUMNS[partition.table]
    values = {"days": days, "start": partition.start, "end": partition.end, "default": DEFAULT_DAYS}
    has_rows = await session.scalar(
        text(f"""
            SELECT EXISTS (SELECT FROM {partition.table} e LEFT JOIN tenants t USING (site_id)
            WHERE e.{at} >= :start AND e.{at} < :end
                AND coalesce(t.retention_days, :default) = :days)"""),  # noqa: S608  # constant names
        values,
    )
    if not has_rows:
        return 0
    parts = await session.execute(
        select(func.max(Archive.part), func.bool_or(Archive.status != "DROPPED")).where(
            Archive.table_name == partition.table,
            Archive.partition == partition.name,
            Archive.retention_days == days,
        )
    )
    last_part, is_unfinished = parts.one()
    if is_unfinished:
        # Its stored rows are still in the partition and would get into two files. Rows that arrived
        # since then are planned once those are deleted.
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
            part=0 if last_part is None else last_part + 1,
            status="PLANNED",
        )
        .on_conflict_do_nothing()  # another worker planned it meanwhile
        .returning(Archive.id)
    )
    return int(await session.scalar(statement) is not None)


def lock_name(table: str, partition: str) -> str:
    """The advisory lock that a worker holds while it archives a partition."""
    return f"archive:{table}:{partition}"
