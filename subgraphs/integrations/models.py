"""The tables of integrations: connected shops, and the inbox of their webhooks."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ForeignKey, false, func
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class Integration(Base):
    """A connected outside system, with its encrypted webhook secret."""

    __tablename__ = "integrations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    provider: Mapped[str]
    status: Mapped[str]
    sealed_secret: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class InboxItem(Base):
    """One received webhook: its raw body, and its processing state."""

    __tablename__ = "inbox"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    integration_id: Mapped[UUID] = mapped_column(ForeignKey("integrations.id"))
    delivery_id: Mapped[str]
    """The sender's id of this delivery; unique, so a repeated delivery changes nothing."""
    event_id: Mapped[str | None]
    """The sender's id of the event; deliveries of two topics can share one."""
    topic: Mapped[str]
    body: Mapped[bytes]
    """Emptied 30 days after receipt."""
    status: Mapped[str]
    error: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    processed_at: Mapped[datetime | None]
    is_backfill: Mapped[bool] = mapped_column(server_default=false())
    """Whether an import fetched it; live webhooks are processed first."""


class ReceivedWebhook(NamedTuple):
    """The columns of an inbox row that a source reads."""

    id: UUID
    account_id: UUID
    site_id: UUID
    topic: str
    body: bytes
    received_at: datetime


class Delivery(Base):
    """A webhook as merchants see it: the same rows, without the body."""

    __table__ = InboxItem.__table__
    __mapper_args__ = {"exclude_properties": ["body"]}

    id: Mapped[UUID]
    integration_id: Mapped[UUID]
    topic: Mapped[str]
    status: Mapped[str]
    error: Mapped[str | None]
    received_at: Mapped[datetime]
