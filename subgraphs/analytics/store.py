"""Analytics in ClickHouse: what is written there, and how it is counted.

A count is read from the rollups where they stand and from the raw events everywhere else. Raw rows
open their hour, a rollup closes it (`store_rollups`); the newer word counts, and both take their
time from ClickHouse's clock: the rollup before it reads, the opener after its rows are in.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from subgraphs.analytics import store_statements as statements
from subgraphs.analytics.store_statements import Dimension, Step
from subgraphs.kernel import clickhouse
from subgraphs.kernel.config import settings

__all__ = ["HOUR", "Count", "Dimension", "RawEvent", "Step", "Total", "add", "counts", "totals"]

log = logging.getLogger(__name__)

HOUR = timedelta(hours=1)


class RawEvent(NamedTuple):
    """One thing that counts; a row of `raw_events`."""

    site_id: UUID
    metric: str
    occurred_at: datetime
    id: UUID
    notification_id: UUID | None
    claim_id: UUID | None
    captured_at: datetime
    variant_id: UUID | None = None
    page: str = ""
    device: str = ""
    country: str = ""
    currency: str = ""
    amount_minor: int = 0
    """What a conversion brought, in the currency's smallest unit."""


class Count(NamedTuple):
    """How often something happened at a site within the bucket that starts at `start`.

    The metric `revenue:<currency>` counts the smallest units of that currency.
    """

    site_id: UUID
    start: datetime
    metric: str
    key: str
    """The dimension's value; empty for the whole site."""
    value: int


class Total(NamedTuple):
    """How often something happened at a site within a range."""

    site_id: UUID
    metric: str
    key: str
    value: int


# Said here, or the client asks the server before every insert.
_RAW_TYPES = (
    "UUID",
    "LowCardinality(String)",
    "DateTime64(3, 'UTC')",
    "UUID",
    "Nullable(UUID)",
    "Nullable(UUID)",
    "DateTime64(3, 'UTC')",
    "Nullable(UUID)",
    "String",
    "LowCardinality(String)",
    "LowCardinality(String)",
    "LowCardinality(String)",
    "Int64",
)

_opened: set[datetime] = set()


async def add(rows: Sequence[RawEvent]) -> None:
    """Write raw events and open their hours; repeated rows collapse.

    An event older than raw events are kept is left out: its hour cannot be counted anew.
    """
    first = first_countable_hour()
    young = [row for row in rows if row.occurred_at >= first]
    if len(young) < len(rows):
        log.warning("%d events are too old to be counted", len(rows) - len(young))
    if not young:
        return
    client = await clickhouse.client()
    await client.insert(
        "raw_events",
        list(zip(*young, strict=True)),
        column_names=RawEvent._fields,
        column_oriented=True,
        column_type_names=_RAW_TYPES,
        settings=statements.WRITING,
    )
    hours = _hours_of([row.occurred_at for row in young]) - _still_open()
    if hours:
        await client.command(statements.OPEN, {"hours": sorted(hours)})
        _opened.update(hours)


def _hours_of(moments: Sequence[datetime]) -> set[datetime]:
    first, last = start_of_hour(min(moments)), start_of_hour(max(moments))
    return {first} if first == last else {start_of_hour(moment) for moment in moments}


def first_countable_hour() -> datetime:
    """Where the events begin that are kept one by one."""
    return start_of_hour(datetime.now(UTC)) - timedelta(days=settings().raw_retention_days)


def _still_open() -> set[datetime]:
    """Hours that this process has opened and no rollup can have closed: they are not over."""
    _opened.intersection_update({hour for hour in _opened if datetime.now(UTC) < hour + HOUR})
    return _opened


async def counts(
    site_ids: Collection[UUID],
    start: datetime,
    end: datetime,
    *,
    step: Step,
    dimension: Dimension = Dimension.TOTAL,
    metrics: Collection[str] = (),
    keys: Collection[str] = (),
) -> list[Count]:
    """Counts of many sites in one query, one for each bucket in which something happened.

    Args:
        start: at the start of a bucket, as is `end`, which is not counted.
        metrics: these alone; empty for all. `revenue` means that of every currency.
        keys: these values of the dimension alone; empty for all.
    """
    statement = statements.counts(step, dimension, metrics, keys)
    parameters = _parameters(site_ids, start, end, metrics, keys)
    client = await clickhouse.client()
    result = await client.query(statement, parameters)
    moments: dict[int, datetime] = {}
    found: list[Count] = []
    for site_id, metric, key, starts, values in result.result_rows:
        for seconds in starts:
            if seconds not in moments:
                moments[seconds] = datetime.fromtimestamp(seconds, UTC)
        found += [
            Count(site_id, moments[start], metric, key, value)
            for start, value in zip(starts, values, strict=True)
        ]
    return found


async def totals(
    site_ids: Collection[UUID],
    start: datetime,
    end: datetime,
    *,
    dimension: Dimension = Dimension.TOTAL,
    metrics: Collection[str] = (),
    keys: Collection[str] = (),
    most: int | None = None,
    by: str = "",
) -> list[Total]:
    """Sums of many sites over whole hours, in one query.

    Args:
        most: of each site only so many keys, those with the most of the metric `by`, or, where it
            is empty, those whose metrics add up to the most; they come first.
    """
    statement = statements.totals(dimension, metrics, keys, most)
    parameters = _parameters(site_ids, start, end, metrics, keys) | {
        "most": most or 0,
        "by": by,
    }
    client = await clickhouse.client()
    result = await client.query(statement, parameters)
    return [Total(*row) for row in result.result_rows]


def start_of_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _parameters(
    site_ids: Collection[UUID],
    start: datetime,
    end: datetime,
    metrics: Collection[str],
    keys: Collection[str],
) -> dict[str, object]:
    return {
        "sites": list(site_ids),
        "start": start,
        "end": end,
        "metrics": list(metrics),
        "keys": list(keys),
    }
