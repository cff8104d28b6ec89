"""`analytics.make_partitions`: the ledger's months, made before their first row comes."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from subgraphs.kernel import db
from workers.app import MAKE_PARTITIONS, app, run

AHEAD = timedelta(days=62)
"""This month and two more. A month that beat missed is made by the first row that needs it."""

_ENSURE = text("SELECT ensure_partitions(:starting, :ending)")


@app.task(name=MAKE_PARTITIONS)
def make_partitions() -> None:
    run(make_months())


async def make_months(now: datetime | None = None) -> None:
    """Have the partitions of this month and of those ahead."""
    starting = now or datetime.now(UTC)
    async with db.service_transaction() as session:
        await session.execute(_ENSURE, {"starting": starting, "ending": starting + AHEAD})
