"""The statements of analytics in ClickHouse.

Hours are counted from raw events by one text (`raw_counts`), whether a query or a rollup asks: what
a rollup leaves behind is what the query would have said.
"""

from collections.abc import Collection, Sequence
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
    SELECT site_id, toStartOfHour(occurred_at, 'UTC') AS timestamp, {metric} AS metric_,
           {dimension} AS dimension, {key} AS key, sum({amount}) AS value
    FROM raw_events FINAL {joined}
    WHERE {where} AND (dimension = '' OR key != '')
    GROUP BY ALL
"""

_REVENUE_TOO = f"if(metric IN {tuple(REVENUES)} AND currency != '', [false, true], [false])"

_REVENUE = "concat(replaceOne(toString(metric), 'converted', 'revenue'), ':', currency)"


def raw_counts(dimensions: Sequence[Dimension], where: str, *, revenue: bool = True) -> str:
    """Counts by the hour: site_id, timestamp, metric_, dimension, key, value.

    An event without a value in a dimension has no row there; the total has it.
    """
    joined = []
    metric, amount = "toString(metric)", "toInt64(1)"
    if revenue:
        joined.append(f"{_REVENUE_TOO} AS revenue")
        metric = f"if(revenue, {_REVENUE}, toString(metric))"
        amount = "if(revenue, amount_minor, 1)"
    dimension, key = f"'{dimensions[0]}'", _KEYS[dimensions[0]]
    if len(dimensions) > 1:
        entries = ", ".join(f"('{it}', {_KEYS[it]})" for it in dimensions)
        joined.append(f"[{entries}] AS entry")
        dimension, key = "entry.1", "entry.2"
    return _RAW_COUNTS.format(
        metric=metric,
        dimension=dimension,
        key=key,
        amount=amount,
        joined=" ".join(f"ARRAY JOIN {it}" for it in joined),
        where=where,
    )


_RANGE = "timestamp >= {start:DateTime('UTC')} AND timestamp < {end:DateTime('UTC')}"

# One look at the hours, for all parts of a statement: an hour that a rollup closes meanwhile would
# count twice, or not at all. First the open ones, which are few and narrow down what is read of the
# raw events, then the closed ones with their versions. An hour that is not listed has no events.
_STATES = f"""
    (
        SELECT (groupArrayIf(timestamp, NOT closed), groupArrayIf((timestamp, version), closed))
        FROM rolled_hours FINAL WHERE {_RANGE}
    ) AS states
"""

STATE_OF_DAY = "if(min(closed), groupBitXor(cityHash64(timestamp, version)), 0)"
"""A number for the state of a day's hours; 0 while one of them is open."""

# The whole days that are made of just these hours, with their versions.
_DAYS = """
    (
        SELECT groupArray((timestamp, version)) FROM rolled_days FINAL
        WHERE timestamp >= {start:DateTime('UTC')}
          AND timestamp + INTERVAL 1 DAY <= {end:DateTime('UTC')}
          AND NOT has(arrayMap(hour -> toStartOfDay(hour, 'UTC'), states.1), timestamp)
          AND (timestamp, hours) IN (
              SELECT toStartOfDay(hour.1, 'UTC') AS day, groupBitXor(cityHash64(hour.1, hour.2))
              FROM (SELECT arrayJoin(states.2) AS hour) GROUP BY day
          )
    ) AS days
"""

# A rollup that was sent twice has its rows twice, alike, until they are merged.
_ROLLED = """
    SELECT site_id, timestamp, toString(metric) AS metric_, {key} AS key, any(value) AS value
    FROM {table}
    WHERE site_id IN {{sites:Array(UUID)}} AND dimension = '{dimension}' AND {range}
      AND (timestamp, version) IN (SELECT arrayJoin({states})) {narrowed}
    GROUP BY ALL
"""

_RAW = """
    site_id IN {sites:Array(UUID)}
    AND occurred_at >= arrayMin(states.1) AND occurred_at < arrayMax(states.1) + INTERVAL 1 HOUR
    AND has(states.1, toStartOfHour(occurred_at, 'UTC'))
"""


def counts(
    step: Step, dimension: Dimension, metrics: Collection[str], keys: Collection[str]
) -> str:
    """Site, metric, key, and two lists alike: seconds since 1970 at which a bucket starts, values.

    In lists, numbers cost the client little; a row each would be most of the time a query takes.
    """
    if step is Step.HOUR:
        states, cells = _STATES, _by_hour(dimension, metrics, keys)
    else:
        states = f"{_STATES}, {_DAYS}"
        cells = f"""
            SELECT site_id, toStartOfDay(timestamp, 'UTC') AS timestamp, metric_, key,
                   sum(cells.value) AS value
            FROM ({_by_day(dimension, metrics, keys)}) AS cells
            GROUP BY ALL
        """
    return f"""
        WITH {states}
        SELECT site_id, metric_, key, groupArray(toUInt32(timestamp)), groupArray(value)
        FROM ({cells})
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
        return f"WITH {_STATES}, {_DAYS} {every}"
    return f"""
        WITH {_STATES}, {_DAYS}
        SELECT site_id, metric_, key, sum_ FROM (
            SELECT *, dense_rank() OVER (PARTITION BY site_id ORDER BY weight DESC, key) AS place
            FROM (SELECT *, {_WEIGHT} AS weight FROM ({every}))
        )
        WHERE place <= {{most:UInt32}} ORDER BY site_id, place, metric_
    """


def _by_hour(
    dimension: Dimension, metrics: Collection[str], keys: Collection[str], but: str = ""
) -> str:
    raw = raw_counts([dimension], _RAW, revenue=not metrics or any(map(_of_revenue, metrics)))
    return f"""
        {_rolled("hourly_counts", "states.2", dimension, but + _narrowed("metric", metrics, keys))}
        UNION ALL
        SELECT site_id, timestamp, metric_, key, value FROM ({raw})
        WHERE true {_narrowed("metric_", metrics, keys)}
    """


def _by_day(dimension: Dimension, metrics: Collection[str], keys: Collection[str]) -> str:
    """By the day where a whole day stands, by the hour elsewhere."""
    whole = _rolled("daily_counts", "days", dimension, _narrowed("metric", metrics, keys))
    outside = " AND toStartOfDay(timestamp, 'UTC') NOT IN (SELECT arrayJoin(days).1)"
    return f"{whole} UNION ALL {_by_hour(dimension, metrics, keys, outside)}"


def _rolled(table: str, states: str, dimension: Dimension, narrowed: str) -> str:
    return _ROLLED.format(
        table=table,
        states=states,
        dimension=dimension,
        key="key" if dimension else "''",
        range=_RANGE,
        narrowed=narrowed,
    )


def _narrowed(metric: str, metrics: Collection[str], keys: Collection[str]) -> str:
    condition = ""
    if metrics:
        revenues = [name for name in REVENUES.values() if name in metrics]
        any_currency = "".join(f" OR startsWith({metric}, '{name}:')" for name in revenues)
        condition += f" AND ({metric} IN {{metrics:Array(String)}}{any_currency})"
    if keys:
        condition += " AND key IN {keys:Array(String)}"
    return condition


def _of_revenue(metric: str) -> bool:
    return metric.split(":")[0] in REVENUES.values()
