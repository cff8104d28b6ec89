"""The ledger in PostgreSQL: facts from outside, and what happened to claims."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class SourceEvent(Base):
    """A fact from outside; `time` is when it happened in the world.

    Mapped to the view through which a viewer sees the `events` of the own accounts.
    """

    __tablename__ = "source_events"

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
    """What happened to a claim: `published`, `shown`, `clicked`, `dismissed`, `withheld`,
    `converted` or `retracted`."""

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
    variant_id: Mapped[UUID | None]
    device: Mapped[str | None]
    country: Mapped[str | None]
    """Two letters."""
    arm: Mapped[str | None]
    """Of a `converted` one: `clicked`, `shown` or `held_out`."""
    revenue_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None]
    source_event_id: Mapped[UUID | None]
    """The order behind a conversion."""


class Counter(Base):
    """How often something happened to a site's claims; as exact as the ledger."""

    __tablename__ = "counters"

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    value: Mapped[int]
