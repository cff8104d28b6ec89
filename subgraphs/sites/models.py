"""The table of sites."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class Site(Base):
    """A shop: the tenant. Its site key is public: the shop's pages contain it."""

    __tablename__ = "sites"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    owner_id: Mapped[UUID]
    name: Mapped[str]
    domain: Mapped[str]
    site_key: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    data_region: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
