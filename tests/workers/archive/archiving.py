"""Creates old rows to archive, and reads them back."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive import planning, service
from subgraphs.analytics.archive.models import Archive, ArchiveShare
from subgraphs.analytics.archive.restores import advance
from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage.objects.client import client as s3_client
from tests.fixtures.shop import Shop
from workers.archive import advance_all

NOW = datetime.now(UTC)


def month_ago(months: int) -> datetime:
    """The first day of the month so many months ago."""
    index = NOW.year * 12 + NOW.month - 1 - months
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


_EVENTS = text("""
    INSERT INTO events (time, id, account_id, site_id, event_type, captured_at, source, visitor_id,
                        payload)
    SELECT CAST(:start AS timestamptz) + n * interval '1013 milliseconds',
           md5(:site || n)::uuid, :account, CAST(:site AS uuid),
           CASE n % 3 WHEN 0 THEN 'order.created' WHEN 1 THEN 'page.viewed' ELSE 'goal.reached' END,
           CAST(:start AS timestamptz) + n * interval '1013 milliseconds 7 microseconds',
           'shopify', CASE WHEN n % 5 = 0 THEN NULL ELSE 'visitor ' || n END,
           jsonb_build_object('n', n, 'name', 'Ånna "' || n || '"', 'price', n / 7.0, 'none', NULL,
                              'text', repeat('x', :width))
    FROM generate_series(:first, :last - 1) AS n
""")
_NOTIFICATION_EVENTS = text("""
    INSERT INTO notification_events (created_at, id, account_id, site_id, notification_id, claim_id,
        event_type, captured_at, visitor_id, page, variant_id, device, country, arm, revenue_minor,
        currency, source_event_id)
    SELECT CAST(:start AS timestamptz) + n * interval '1 second', md5('h' || :site || n)::uuid,
           :account, CAST(:site AS uuid), md5('n' || :site)::uuid, md5('c' || n)::uuid,
           CASE n % 2 WHEN 0 THEN 'shown' ELSE 'converted' END,
           CAST(:start AS timestamptz) + n * interval '1 second', 'visitor ' || n, '/shoes',
           NULL, 'mobile', 'NO', CASE n % 2 WHEN 1 THEN 'clicked' END,
           CASE n % 2 WHEN 1 THEN 9000000000 + n END, CASE n % 2 WHEN 1 THEN 'NOK' END, NULL
    FROM generate_series(:first, :last - 1) AS n
""")


_ROWS = {"events": _EVENTS, "notification_events": _NOTIFICATION_EVENTS}


async def add(
    shop: Shop,
    start: datetime,
    count: int,
    *,
    first: int = 0,
    width: int = 0,
    tables: Collection[str] = ("events", "notification_events"),
) -> None:
    """Add so many rows to each table, a second apart; equal numbers make equal rows.

    Args:
        width: characters of text in each source event.
    """
    async with db.service_transaction() as session:
        await session.execute(text("SELECT ensure_partitions(:start, :start)"), {"start": start})
        values = {
            "start": start,
            "site": str(shop.site_id),
            "account": shop.account_id,
            "first": first,
            "width": width,
            "last": first + count,
        }
        for table in tables:
            await session.execute(_ROWS[table], values)


async def keep_for(shop: Shop, days: int) -> None:
    """Set the site's retention, as a plan does."""
    async with db.transaction(shop.owner) as session:
        await session.execute(
            text("UPDATE tenants SET retention_days = :days WHERE site_id = :site"),
            {"days": days, "site": shop.site_id},
        )


class Rows(NamedTuple):
    """A site's rows in PostgreSQL, as text, in order."""

    events: list[str]
    notification_events: list[str]


async def rows_of(shop: Shop) -> Rows:
    """All rows of a site, every column."""
    return Rows(
        await as_text("events", "site_id = :id", shop.site_id),
        await as_text("notification_events", "site_id = :id", shop.site_id),
    )


async def as_text(table: str, where: str, id_: UUID) -> list[str]:
    columns = await _columns(table.rpartition(".")[2])
    listed = ", ".join(f'r."{name}"' for name in columns)
    statement = f"SELECT ROW({listed})::text FROM {table} r WHERE {where}"  # noqa: S608
    async with db.service_transaction() as session:
        return sorted(await session.scalars(text(statement), {"id": id_}))


async def _columns(table: str) -> list[str]:
    statement = text(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = CAST(:name AS text)::regclass"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    async with db.service_transaction() as session:
        return list(await session.scalars(statement, {"name": table}))


async def archive_all(*, turns: int = 3) -> None:
    """Run the archive's daily and periodic tasks."""
    await planning.plan()
    for _ in range(turns):
        await make_due()
        await advance_all()


async def make_due() -> None:
    """Make all waiting attempts due."""
    async with db.service_transaction() as session:
        for table in ("archives", "archive_restores", "exports"):
            await session.execute(
                text(f"UPDATE {table} SET next_attempt_at = now() - interval '1 second'")  # noqa: S608
            )


async def archives_of(shop: Shop, columns: str = "table_name, status, rows") -> list[Any]:
    """Columns of each archive file that a site has a share in."""
    statement = (
        f"SELECT {columns} FROM archives a WHERE EXISTS (SELECT FROM archive_shares s"  # noqa: S608
        " WHERE s.archive_id = a.id AND s.site_id = :site) ORDER BY table_name, part"
    )
    async with db.service_transaction() as session:
        found = await session.execute(text(statement), {"site": shop.site_id})
        return [tuple(row) for row in found]


async def archived(shop: Shop) -> Rows:
    """A site's archived rows, read through restores that expire afterwards."""
    found = Rows([], [])
    async with db.transaction(shop.owner) as session:
        everything = await session.scalars(select(ArchiveShare).order_by(ArchiveShare.id))
        restores = [
            await service.create_restore(session, share=share, user_id=new_id(), days=1)
            for share in everything
            if share.site_id == shop.site_id
        ]
    for restore in restores:
        await advance(restore.id)
        rows = await as_text(f"restored.{restore.table_name}", "restore_id = :id", restore.id)
        (found.events if restore.table_name == "events" else found.notification_events).extend(rows)
        await advance(restore.id, datetime.now(UTC) + timedelta(days=2))
    return Rows(*map(sorted, found))


def names_in_s3(prefix: str) -> list[str]:
    """Objects and incomplete uploads."""
    client, bucket = s3_client(), settings().s3_bucket
    found = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    return [*(one["Key"] for one in found), *(one["Key"] for one in uploads)]


async def a_share(session: AsyncSession, shop: Shop) -> ArchiveShare:
    """A site's share of an archive without a file."""
    start = month_ago(8)
    common = {"table_name": "events", "range_start": start, "range_end": month_ago(7), "rows": 1}
    archive = Archive(
        **common,
        id=new_id(),
        partition=new_id().hex,
        retention_days=90,
        part=0,
        status="DROPPED",
        fingerprint=1,
        sha256="0",
        key="archives/none",
    )
    session.add(archive)
    await session.flush()
    share = ArchiveShare(
        **common,
        id=new_id(),
        archive_id=archive.id,
        account_id=shop.account_id,
        site_id=shop.site_id,
        first_at=start,
        last_at=start,
        sha256="0",
        status="ARCHIVED",
    )
    session.add(share)
    await session.flush()
    return share


class PartitionRange(NamedTuple):
    """A month, or a chunk of seven days where `events` is a TimescaleDB hypertable."""

    name: str
    start: datetime
    end: datetime


async def partition_at(table: str, at: datetime) -> PartitionRange | None:
    """The partition for rows of this time; None if there is none."""
    statement = text(
        "SELECT name, range_start, range_end FROM partitions_of(:table)"
        " WHERE range_start <= :at AND :at < range_end"
    )
    async with db.service_transaction() as session:
        found = (await session.execute(statement, {"table": table, "at": at})).one_or_none()
    return None if found is None else PartitionRange(*found)
