"""The tables of the archive: its files, each site's share of them, and restores."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Numeric, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base

DEFAULT_DAYS = 90
"""The retention of rows whose site is not in `tenants`; no plan has a shorter one."""


class Archive(Base):
    """A Parquet file of the archive: one part of a unit. Only services may read this table."""

    __tablename__ = "archives"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    table_name: Mapped[str]
    partition: Mapped[str]
    range_start: Mapped[datetime]
    range_end: Mapped[datetime]
    retention_days: Mapped[int]
    part: Mapped[int]
    status: Mapped[str]
    after_key: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """The last key of the previous part; this part holds greater keys."""
    last_key: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    has_more: Mapped[bool] = mapped_column(server_default="false")
    """Whether the unit had more rows when this part was written."""
    rows: Mapped[int | None]
    fingerprint: Mapped[int | None] = mapped_column(Numeric(asdecimal=False))
    """The sum of its rows' fingerprints, to compare with the rows in the partition."""
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    key: Mapped[str | None]
    """The key of the archive in S3, class GLACIER."""
    staging_key: Mapped[str | None]
    """The key of the readable copy, until its rows are deleted from PostgreSQL."""
    removed: Mapped[int] = mapped_column(server_default="0")
    """Rows deleted so far, in the file's order; unused if the partition is dropped whole."""
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    staged_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    stored_at: Mapped[datetime | None]
    dropped_at: Mapped[datetime | None]


class ArchiveShare(Base):
    """A site's rows in an archive file; the only part of it that a merchant sees."""

    __tablename__ = "archive_shares"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    archive_id: Mapped[UUID]
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    table_name: Mapped[str]
    range_start: Mapped[datetime]
    range_end: Mapped[datetime]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    rows: Mapped[int]
    sha256: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ArchiveRestore(Base):
    """A request to make a share's rows readable for some days."""

    __tablename__ = "archive_restores"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    share_id: Mapped[UUID]
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    table_name: Mapped[str]
    requested_by: Mapped[UUID]
    days: Mapped[int]
    status: Mapped[str] = mapped_column(server_default="REQUESTED")
    rows: Mapped[int | None]
    error: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
