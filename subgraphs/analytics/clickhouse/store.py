"""Analytics in ClickHouse: what is written there, and how it is counted.

A count is read from the rollups where they stand and from the raw events everywhere else. Raw rows
open their hour, a rollup closes it (`store_rollups`); the newer word counts, and both take their
time from ClickHouse's clock: the rollup before it reads, the opener after its rows are in.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from subgraphs.analytics.clickhouse import open_hours, statements
from subgraphs.analytics.clickhouse.statements import Dimension, Step
from subgraphs.kernel.config import settings
from subgraphs.kernel.storage import clickhouse

__all__ = ["HOUR", "Counts", "Dimension", "RawEvent", "Step", "Total", "add", "counts", "totals"]

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


class Counts(NamedTuple):
    """How often something happened at a site, in each bucket in which it did.

    The metric `revenue:<currency>` counts the smallest units of that currency.
    """

    site_id: UUID
    metric: str
    key: str
    """The dimension's value; empty for the whole site."""
    starts: list[datetime]
    """Where the buckets start, in no order."""
    values: list[int]
    """As many, in the same order. An object each would be thousands for a quarter by the hour, and
    Python's collector would stop at them, and at all others, for longer than the query takes."""


class Total(NamedTuple):
    """How often something happened at a site within a range."""

    site_id: UUID
    metric: str
    key: str
    value: int


_encoder = msgspec.json.Encoder()

_WRITING = {**statements.WRITING, "date_time_input_format": "best_effort"}
"""Times are written as ISO 8601 has them."""

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
    # The driver's own way, column by column in Python, takes two microseconds a row longer.
    await client.raw_insert(
        "raw_events",
        RawEvent._fields,
        _encoder.encode_lines(young),
        fmt="JSONCompactEachRow",
        settings=_WRITING,
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
) -> list[Counts]:
    """Counts of many sites in one query, by site, metric and key.

    Args:
        start: at the start of a bucket, as is `end`, which is not counted.
        metrics: these alone; empty for all. `revenue` means that of every currency.
        keys: these values of the dimension alone; empty for all.
    """
    look = statements.LOOK_AT_HOURS if step is Step.HOUR else statements.LOOK_AT_DAYS

    async def read(opened: Sequence[datetime]) -> Sequence[Sequence[Any]]:
        asked = _Asked(site_ids, start, end, dimension, metrics, keys, opened)
        client = await clickhouse.client()
        statement = statements.counts(step, asked.wanted())
        return (await client.query(statement, asked.parameters())).result_rows

    found = await open_hours.steady(look, start, end, read)
    return [
        Counts(site_id, metric, key, list(map(open_hours.moment, starts)), list(values))
        for site_id, metric, key, starts, values in found
    ]


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

    async def read(opened: Sequence[datetime]) -> Sequence[Sequence[Any]]:
        asked = _Asked(site_ids, start, end, dimension, metrics, keys, opened)
        client = await clickhouse.client()
        statement = statements.totals(asked.wanted(), most)
        parameters = asked.parameters() | {"most": most or 0, "by": by}
        return (await client.query(statement, parameters)).result_rows

    found = await open_hours.steady(statements.LOOK_AT_DAYS, start, end, read)
    return [Total(*row) for row in found]


class _Asked(NamedTuple):
    """What a query asks for, and what is open at that moment."""

    site_ids: Collection[UUID]
    start: datetime
    end: datetime
    dimension: Dimension
    metrics: Collection[str]
    keys: Collection[str]
    opened: Sequence[datetime]

    def _open(self) -> list[datetime]:
        return [hour for hour in self.opened if self.start <= hour < self.end]

    def wanted(self) -> statements.Wanted:
        return statements.Wanted(self.dimension, self.metrics, self.keys, bool(self._open()))

    def parameters(self) -> dict[str, object]:
        return {
            "sites": list(self.site_ids),
            "start": self.start,
            "end": self.end,
            "metrics": list(self.metrics),
            "raw_metrics": statements.raw_metrics(self.metrics),
            "keys": list(self.keys),
            "open": self._open(),
        }


def start_of_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
