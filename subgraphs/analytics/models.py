"""The ledger's counters in PostgreSQL.

Only this table is mapped. The rows of the ledger are too many for objects: `ledger` copies them in,
and `site_events` reads them page by page.
"""

from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class Counter(Base):
    """The count of a metric of a site since its first event; as exact as the ledger."""

    __tablename__ = "counters"

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    value: Mapped[int]
