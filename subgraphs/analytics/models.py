"""The ledger in PostgreSQL: facts from outside, and what happened to claims."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class SourceEvent(Base):
    """A fact from outside; `time` is when it happened in the world."""

    __tablename__ = "events"

    time: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    event_type: Mapped[str]
    captured_at: Mapped[datetime]
    source: Mapped[str]
    visitor_id: Mapped[str | None]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)


class NotificationEvent(Base):
    """What happened to a claim: `published`, `shown`, `clicked` or `dismissed`."""

    __tablename__ = "notification_events"

    created_at: Mapped[datetime] = mapped_column(primary_key=True)
    """When it happened; the partition key in time."""
    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    notification_id: Mapped[UUID]
    claim_id: Mapped[UUID]
    event_type: Mapped[str]
    captured_at: Mapped[datetime]
    visitor_id: Mapped[str | None]
    page: Mapped[str | None]


class Counter(Base):
    """How often something happened to a site's claims; as exact as the ledger."""

    __tablename__ = "counters"

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    value: Mapped[int]
