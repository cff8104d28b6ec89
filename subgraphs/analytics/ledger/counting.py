"""The ledger's counters: rows by site and metric."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CountableEvent = tuple[UUID, UUID, str]
"""Site, account and metric of a new row."""


class Counted(NamedTuple):
    """The value of one counter."""

    site_id: UUID
    metric: str
    value: int


_COUNTERS = text("SELECT site_id, metric, value FROM counters WHERE site_id = ANY(:sites)")

# In the same order as the statement of `insert.py` that counts: two writers never deadlock.
_COUNT = text("""
    INSERT INTO counters (site_id, account_id, metric, value)
    SELECT * FROM unnest(CAST(:sites AS uuid[]), CAST(:accounts AS uuid[]),
                         CAST(:metrics AS text[]), CAST(:values AS bigint[]))
    ON CONFLICT (site_id, metric) DO UPDATE SET value = counters.value + excluded.value
""")


async def count(session: AsyncSession, events: Iterable[CountableEvent]) -> None:
    """Add new rows to the counters."""
    numbers = Counter(events)
    if not numbers:
        return
    sites, accounts, metrics = map(list, zip(*sorted(numbers), strict=True))
    values = [numbers[key] for key in sorted(numbers)]
    await session.execute(
        _COUNT, {"sites": sites, "accounts": accounts, "metrics": metrics, "values": values}
    )


async def counters(session: AsyncSession, site_ids: Collection[UUID]) -> list[Counted]:
    """The counters of these sites."""
    if not site_ids:
        return []
    rows = await session.execute(_COUNTERS, {"sites": list(site_ids)})
    return [Counted(*row) for row in rows]
