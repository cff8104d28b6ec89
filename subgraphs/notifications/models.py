"""The tables of notifications, templates, A/B tests and claims."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Uuid, func
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class Template(Base):
    """The text (Liquid) and the style (CSS) of a notification's claims."""

    __tablename__ = "templates"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    name: Mapped[str]
    body: Mapped[str]
    css_content: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Notification(Base):
    """A merchant's rule for making claims, and its state."""

    __tablename__ = "notifications"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    template_id: Mapped[UUID] = mapped_column(ForeignKey("templates.id"))
    name: Mapped[str]
    type: Mapped[str]
    status: Mapped[str]
    channels: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ABTest(Base):
    """A test that compares variants of one notification's template."""

    __tablename__ = "ab_tests"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    notification_id: Mapped[UUID] = mapped_column(ForeignKey("notifications.id"))
    name: Mapped[str]
    status: Mapped[str]
    started_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ABTestVariant(Base):
    """One variant of an A/B test; its weight is its share of the sum of weights."""

    __tablename__ = "ab_test_variants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    ab_test_id: Mapped[UUID] = mapped_column(ForeignKey("ab_tests.id"))
    name: Mapped[str]
    body: Mapped[str]
    weight: Mapped[int]
    position: Mapped[int]


class Claim(Base):
    """One rendered message, with the source events behind it."""

    __tablename__ = "claims"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    site_id: Mapped[UUID]
    notification_id: Mapped[UUID] = mapped_column(ForeignKey("notifications.id"))
    source_event_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    text: Mapped[str]
    url: Mapped[str | None]
    occurred_at: Mapped[datetime]
    published_at: Mapped[datetime]
    cursor: Mapped[str | None]
    """The position in the live channel; None until the claim is published there."""
    variant_id: Mapped[UUID | None]
    """The variant that rendered the claim; None if no A/B test was running."""
