"""The task `analytics.make_partitions`: creates the ledger's monthly partitions in advance."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from subgraphs.kernel import db, task_names
from workers.app import app, run

AHEAD = timedelta(days=62)
"""This month and two more. The first row of a month without a partition creates it as well."""

_ENSURE = text("SELECT ensure_partitions(:starting, :ending)")


@app.task(name=task_names.MAKE_PARTITIONS)
def make_partitions() -> None:
    run(make_months())


async def make_months(now: datetime | None = None) -> None:
    """Create the partitions of this month and the following ones unless they exist."""
    starting = now or datetime.now(UTC)
    async with db.service_transaction() as session:
        await session.execute(_ENSURE, {"starting": starting, "ending": starting + AHEAD})
