"""The table of exports."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class Export(Base):
    """An export: its request, its progress and its file."""

    __tablename__ = "exports"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    requested_by: Mapped[UUID]
    range_start: Mapped[datetime]
    range_end: Mapped[datetime]
    format: Mapped[str]
    types: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Event types; None for all."""
    status: Mapped[str] = mapped_column(server_default="QUEUED")
    rows: Mapped[int] = mapped_column(BigInteger, server_default="0")
    rows_expected: Mapped[int | None] = mapped_column(BigInteger)
    """Counted when a worker starts the export."""
    bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    key: Mapped[str | None]
    upload_id: Mapped[str | None]
    etags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """The ETags of the uploaded parts, in order."""
    last_key: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """(time, ID, type) of the last row in those parts."""
    error: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
