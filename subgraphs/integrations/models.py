"""The tables of integrations: connected shops, and the inbox of what they sent."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class Integration(Base):
    """A connected outside system and the secret it signs with, sealed."""

    __tablename__ = "integrations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    provider: Mapped[str]
    status: Mapped[str]
    sealed_secret: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class InboxItem(Base):
    """One webhook as it came: raw bytes, and what became of it."""

    __tablename__ = "inbox"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    integration_id: Mapped[UUID] = mapped_column(ForeignKey("integrations.id"))
    delivery_id: Mapped[str]
    """The sender's id of this delivery; a second one changes nothing."""
    event_id: Mapped[str | None]
    """The sender's id of the event, which two topics can share."""
    topic: Mapped[str]
    body: Mapped[bytes]
    """Emptied some time after it was read."""
    status: Mapped[str]
    error: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    processed_at: Mapped[datetime | None]


class Delivery(Base):
    """A webhook as the merchant sees it: the same rows, without the body."""

    __table__ = InboxItem.__table__
    __mapper_args__ = {"exclude_properties": ["body"]}

    id: Mapped[UUID]
    integration_id: Mapped[UUID]
    topic: Mapped[str]
    status: Mapped[str]
    error: Mapped[str | None]
    received_at: Mapped[datetime]
