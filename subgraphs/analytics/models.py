"""The ledger's counters in PostgreSQL.

The ledger itself is too much for objects: `ledger.py` copies rows into its tables, `history.py`
reads them page by page.
"""

from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class Counter(Base):
    """How often something happened at a site; as exact as the ledger."""

    __tablename__ = "counters"

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    value: Mapped[int]
