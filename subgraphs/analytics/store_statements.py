"""The statements of analytics in ClickHouse.

Hours are counted from raw events by one text (`raw_counts`), whether a query or a rollup asks: what
a rollup leaves behind is what the query would have said.
"""

from collections.abc import Collection
from enum import StrEnum

REVENUES = {
    "converted": "revenue",
    "converted_shown": "revenue_shown",
    "converted_held_out": "revenue_held_out",
}
"""The metrics that bring amounts, and that of all their currencies together: each currency counts
by itself, as `revenue:<currency>`."""

WRITING = {"distributed_foreground_insert": 1}
"""In a cluster, an insert has answered when the rows are where they belong, not before."""


class Dimension(StrEnum):
    """What counts may be told apart by, one at a time."""

    TOTAL = ""
    NOTIFICATION = "notification"
    VARIANT = "variant"
    PAGE = "page"
    DEVICE = "device"
    COUNTRY = "country"


class Step(StrEnum):
    """How long a bucket is, in UTC."""

    HOUR = "hour"
    DAY = "day"


_KEYS = {
    Dimension.TOTAL: "''",
    Dimension.NOTIFICATION: "ifNull(toString(notification_id), '')",
    Dimension.VARIANT: "ifNull(toString(variant_id), '')",
    Dimension.PAGE: "page",
    Dimension.DEVICE: "toString(device)",
    Dimension.COUNTRY: "toString(country)",
}

NOW = "toUnixTimestamp64Micro(now64(6))"

# One more, so that a rollup which began in the same instant does not outweigh it.
OPEN = (
    f"INSERT INTO rolled_hours SELECT arrayJoin({{hours:Array(DateTime('UTC'))}}), false, {NOW} + 1"
)

_RAW_COUNTS = """
    SELECT site_id, toStartOfHour(occurred_at, 'UTC') AS timestamp, toString({metric}) AS metric_,
           entry.1 AS dimension, entry.2 AS key, toInt64({value}) AS value
    FROM raw_events FINAL
    ARRAY JOIN [{entries}] AS entry
    WHERE {where} AND (entry.1 = '' OR entry.2 != '')
    GROUP BY ALL
"""


def raw_counts(dimensions: Collection[Dimension], where: str) -> str:
    """Counts by the hour: site_id, timestamp, metric_, dimension, key, value.

    An event without a value in a dimension has no row there; the total has it.
    """
    entries = ", ".join(f"('{dimension}', {_KEYS[dimension]})" for dimension in dimensions)
    events = _RAW_COUNTS.format(metric="metric", value="count()", entries=entries, where=where)
    revenue = _RAW_COUNTS.format(
        metric="concat(replaceOne(metric, 'converted', 'revenue'), ':', currency)",
        value="sum(amount_minor)",
        entries=entries,
        where=f"{where} AND metric IN {tuple(REVENUES)} AND currency != ''",
    )
    return f"{events} UNION ALL {revenue}"


# An hour that is not listed has no events.
_HOURS = """
    open AS (
        SELECT timestamp FROM rolled_hours FINAL
        WHERE NOT closed
          AND timestamp >= {start:DateTime('UTC')} AND timestamp < {end:DateTime('UTC')}
    ),
    closed AS (
        SELECT timestamp, version FROM rolled_hours FINAL
        WHERE closed
          AND timestamp >= {start:DateTime('UTC')} AND timestamp < {end:DateTime('UTC')}
    )
"""

STATE_OF_DAY = "if(min(closed), groupBitXor(cityHash64(timestamp, version)), 0)"
"""A number for the state of a day's hours; 0 while one of them is open."""

_DAYS = f"""
    days AS (
        SELECT rolled.timestamp AS timestamp, rolled.version AS version
        FROM rolled_days AS rolled FINAL
        INNER JOIN (
            SELECT toStartOfDay(timestamp, 'UTC') AS day, {STATE_OF_DAY} AS hours
            FROM rolled_hours FINAL
            WHERE timestamp >= {{start:DateTime('UTC')}} AND timestamp < {{end:DateTime('UTC')}}
            GROUP BY day
        ) AS present ON present.day = rolled.timestamp AND present.hours = rolled.hours
        WHERE rolled.hours != 0
    )
"""

# A rollup that was sent twice has its rows twice, alike, until they are merged.
_ROLLED = """
    SELECT site_id, timestamp, toString(metric) AS metric_, key, any(value) AS value
    FROM {table}
    WHERE site_id IN {{sites:Array(UUID)}} AND dimension = '{dimension}'
      AND timestamp >= {{start:DateTime('UTC')}} AND timestamp < {{end:DateTime('UTC')}}
      AND (timestamp, version) IN {states} {narrowed}
    GROUP BY ALL
"""

_RAW = """
    site_id IN {sites:Array(UUID)}
    AND occurred_at >= (SELECT min(timestamp) FROM open)
    AND occurred_at < (SELECT max(timestamp) FROM open) + INTERVAL 1 HOUR
    AND toStartOfHour(occurred_at, 'UTC') IN open
"""


def counts(
    step: Step, dimension: Dimension, metrics: Collection[str], keys: Collection[str]
) -> str:
    """Site, bucket, metric, key, value."""
    if step is Step.HOUR:
        return f"WITH {_HOURS} {_by_hour(dimension, metrics, keys)}"
    return f"""
        WITH {_HOURS}, {_DAYS}
        SELECT site_id, toStartOfDay(timestamp, 'UTC') AS bucket, metric_, key, sum(value)
        FROM ({_by_day(dimension, metrics, keys)})
        GROUP BY ALL
    """


_WEIGHT = """
    sum(if(
        {by:String} IN ('', metric_) OR startsWith(metric_, concat({by:String}, ':')), sum_, 0
    )) OVER (PARTITION BY site_id, key)
"""


def totals(
    dimension: Dimension, metrics: Collection[str], keys: Collection[str], most: int | None
) -> str:
    """Site, metric, key, value."""
    every = f"""
        SELECT site_id, metric_, key, sum(value) AS sum_
        FROM ({_by_day(dimension, metrics, keys)})
        GROUP BY ALL
    """
    if most is None:
        return f"WITH {_HOURS}, {_DAYS} {every}"
    return f"""
        WITH {_HOURS}, {_DAYS}
        SELECT site_id, metric_, key, sum_ FROM (
            SELECT *, dense_rank() OVER (PARTITION BY site_id ORDER BY weight DESC, key) AS place
            FROM (SELECT *, {_WEIGHT} AS weight FROM ({every}))
        )
        WHERE place <= {{most:UInt32}} ORDER BY site_id, place, metric_
    """


def _by_hour(
    dimension: Dimension, metrics: Collection[str], keys: Collection[str], but: str = ""
) -> str:
    rolled = _ROLLED.format(
        table="hourly_counts",
        dimension=dimension,
        states="closed",
        narrowed=but + _narrowed("metric", metrics, keys),
    )
    return f"""
        {rolled}
        UNION ALL
        SELECT site_id, timestamp, metric_, key, value FROM ({raw_counts([dimension], _RAW)})
        WHERE true {_narrowed("metric_", metrics, keys)}
    """


def _by_day(dimension: Dimension, metrics: Collection[str], keys: Collection[str]) -> str:
    """By the day where a whole day stands, by the hour elsewhere."""
    rolled = _ROLLED.format(
        table="daily_counts",
        dimension=dimension,
        states="days",
        narrowed="AND timestamp + INTERVAL 1 DAY <= {end:DateTime('UTC')}"
        + _narrowed("metric", metrics, keys),
    )
    outside = """
        AND toStartOfDay(timestamp, 'UTC') NOT IN (
            SELECT timestamp FROM days
            WHERE timestamp >= {start:DateTime('UTC')}
              AND timestamp + INTERVAL 1 DAY <= {end:DateTime('UTC')}
        )
    """
    return f"{rolled} UNION ALL {_by_hour(dimension, metrics, keys, outside)}"


def _narrowed(metric: str, metrics: Collection[str], keys: Collection[str]) -> str:
    condition = ""
    if metrics:
        revenues = [name for name in REVENUES.values() if name in metrics]
        any_currency = "".join(f" OR startsWith({metric}, '{name}:')" for name in revenues)
        condition += f" AND ({metric} IN {{metrics:Array(String)}}{any_currency})"
    if keys:
        condition += " AND key IN {keys:Array(String)}"
    return condition
