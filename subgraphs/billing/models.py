"""The tables of billing: the available plans, and the plan of each site."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class Plan(Base):
    """A plan. The price is in minor units of its currency."""

    __tablename__ = "plans"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    monthly_price_minor: Mapped[int]
    currency: Mapped[str]
    monthly_events: Mapped[int]
    events_per_second: Mapped[int]
    """Limit of the ingest endpoint for one site, averaged over ten seconds."""
    retention_days: Mapped[int]
    """Days that events stay in the ledger before they are archived."""


class SiteSubscription(Base):
    """The plan that a site has chosen; a site without a row is on the free plan."""

    __tablename__ = "subscriptions"

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    plan_id: Mapped[str] = mapped_column(ForeignKey("plans.id"))
    since: Mapped[datetime] = mapped_column(server_default=func.now())
