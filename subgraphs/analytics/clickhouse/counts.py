"""Reads of counts: by bucket, and summed over a range."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from subgraphs.analytics.clickhouse import count_statements, open_hours
from subgraphs.analytics.clickhouse.metrics import Dimension, Granularity
from subgraphs.analytics.clickhouse.raw_counts import raw_metrics
from subgraphs.kernel.storage import clickhouse


class Counts(NamedTuple):
    """The counts of one metric and key of a site, in each bucket that has any.

    The metric `revenue:<currency>` counts that currency's minor units.
    """

    site_id: UUID
    metric: str
    key: str
    """The dimension's value; empty for the total of the site."""
    starts: list[datetime]
    """The starts of the buckets, unordered."""
    values: list[int]
    """The counts, in the order of `starts`. Two lists, because a quarter by the hour would need
    thousands of objects, and Python's garbage collector would take longer than the query."""


class Total(NamedTuple):
    """The sum of one metric and key of a site over a range."""

    site_id: UUID
    metric: str
    key: str
    value: int


async def get_counts(
    site_ids: Collection[UUID],
    start: datetime,
    end: datetime,
    *,
    granularity: Granularity,
    dimension: Dimension | None = None,
    metrics: Collection[str] = (),
    keys: Collection[str] = (),
) -> list[Counts]:
    """Counts of many sites by bucket, in one query.

    Args:
        start: The start of the first bucket.
        end: The end of the last bucket, exclusive.
        dimension: Group by this dimension; None returns the totals of the sites.
        metrics: Only these metrics; empty for all. `revenue` includes every currency.
        keys: Only these values of the dimension; empty for all.

    Raises:
        Unavailable: rollups changed the range during each attempt.
    """
    statement = open_hours.HOURS if granularity is Granularity.HOUR else open_hours.HOURS_AND_DAYS

    async def read(opened: Sequence[datetime]) -> Sequence[Sequence[Any]]:
        query = _Query(site_ids, start, end, dimension, metrics, keys, opened)
        client = await clickhouse.client()
        text = count_statements.counts(granularity, query.shape())
        return (await client.query(text, query.parameters())).result_rows

    rows = await open_hours.read_consistently(statement, start, end, read)
    return [
        Counts(site_id, metric, key, list(map(open_hours.from_seconds, starts)), list(values))
        for site_id, metric, key, starts, values in rows
    ]


async def get_totals(
    site_ids: Collection[UUID],
    start: datetime,
    end: datetime,
    *,
    dimension: Dimension | None = None,
    metrics: Collection[str] = (),
    keys: Collection[str] = (),
    limit: int | None = None,
    by: str = "",
) -> list[Total]:
    """Sums of many sites over whole hours, in one query.

    Args:
        start: The start of the first hour.
        end: The end of the last hour, exclusive.
        dimension: Group by this dimension; None returns the totals of the sites.
        metrics: Only these metrics; empty for all. `revenue` includes every currency.
        keys: Only these values of the dimension; empty for all.
        limit: At most so many keys of each site, those with the highest values first.
        by: The metric that ranks the keys; empty ranks them by the sum of all metrics.

    Raises:
        Unavailable: rollups changed the range during each attempt.
    """

    async def read(opened: Sequence[datetime]) -> Sequence[Sequence[Any]]:
        query = _Query(site_ids, start, end, dimension, metrics, keys, opened)
        client = await clickhouse.client()
        text = count_statements.totals(query.shape(), limit)
        parameters = query.parameters() | {"limit": limit or 0, "by": by}
        return (await client.query(text, parameters)).result_rows

    rows = await open_hours.read_consistently(open_hours.HOURS_AND_DAYS, start, end, read)
    return [Total(*row) for row in rows]


class _Query(NamedTuple):
    """The arguments of a read, and the hours that are open while it runs."""

    site_ids: Collection[UUID]
    start: datetime
    end: datetime
    dimension: Dimension | None
    metrics: Collection[str]
    keys: Collection[str]
    opened: Sequence[datetime]

    def _open_hours(self) -> list[datetime]:
        return [hour for hour in self.opened if self.start <= hour < self.end]

    def shape(self) -> count_statements.Shape:
        return count_statements.Shape(
            self.dimension, self.metrics, self.keys, bool(self._open_hours())
        )

    def parameters(self) -> dict[str, object]:
        return {
            "sites": list(self.site_ids),
            "start": self.start,
            "end": self.end,
            "metrics": list(self.metrics),
            "raw_metrics": raw_metrics(self.metrics),
            "keys": list(self.keys),
            "open": self._open_hours(),
        }
