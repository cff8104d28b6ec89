"""The statements of analytics in ClickHouse.

Hours are counted from raw events by one text (`raw_counts`), whether a query or a rollup asks: what
a rollup leaves behind is what the query would have said.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple

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

LOOK_AT_HOURS = """
    SELECT groupArray(toUInt32(timestamp)), groupArray(if(closed, version, 0))
    FROM rolled_hours FINAL
"""
"""All hours, and the version of each; 0 where it is open. An hour that is opened once more, as each
batch of late events does, leaves it as it is."""

LOOK_AT_DAYS = f"""
    SELECT * FROM ({LOOK_AT_HOURS}) AS hours CROSS JOIN (
        SELECT groupArray(toUInt32(timestamp)), groupArray(cityHash64(hours, version))
        FROM rolled_days FINAL
    ) AS days
"""
"""The same, and all days with a number for the state of each."""

STATE_OF_DAY = "if(min(closed), groupBitXor(cityHash64(timestamp, version)), 0)"
"""A number for the state of a day's hours; 0 while one of them is open."""

_OPEN = "{open:Array(DateTime('UTC'))}"

# The open hours were looked up before; the others are still what they were then, or the answer is
# thrown away (`store_states`).
_CLOSED = f"""
    SELECT timestamp, version FROM rolled_hours FINAL
    WHERE closed AND {_RANGE} AND NOT has({_OPEN}, timestamp)
"""

# The whole days that are made of just these hours, with their versions.
_DAYS = f"""
    (
        SELECT groupArray((timestamp, version)) FROM rolled_days FINAL
        WHERE timestamp >= {{start:DateTime('UTC')}}
          AND timestamp + INTERVAL 1 DAY <= {{end:DateTime('UTC')}}
          AND NOT has(arrayMap(hour -> toStartOfDay(hour, 'UTC'), {_OPEN}), timestamp)
          AND (timestamp, hours) IN (
              SELECT toStartOfDay(timestamp, 'UTC') AS day, {STATE_OF_DAY}
              FROM rolled_hours FINAL WHERE {_RANGE} GROUP BY day HAVING min(closed)
          )
    ) AS days
"""

# A rollup that was sent twice has its rows twice, alike, until they are merged.
_ROLLED = """
    SELECT site_id, timestamp, toString(metric) AS metric_, {key} AS key, any(value) AS value
    FROM {table}
    WHERE site_id IN {{sites:Array(UUID)}} {dimension} AND {range}
      AND (timestamp, version) IN ({versions}) {narrowed}
    GROUP BY ALL
"""

_RAW = f"""
    site_id IN {{sites:Array(UUID)}}
    AND occurred_at >= arrayMin({_OPEN}) AND occurred_at < arrayMax({_OPEN}) + INTERVAL 1 HOUR
    AND has({_OPEN}, toStartOfHour(occurred_at, 'UTC'))
"""

# To look the versions up in the primary key costs more than it spares: the range has done it.
_READING = "SETTINGS use_index_for_in_with_subqueries = 0"


class Wanted(NamedTuple):
    """What is asked for, as far as it changes the text of a statement."""

    dimension: Dimension
    metrics: Collection[str]
    keys: Collection[str]
    raw: bool
    """Whether one of the hours is open."""


def counts(step: Step, wanted: Wanted) -> str:
    """Site, metric, key, and two lists alike: seconds since 1970 at which a bucket starts, values.

    In lists, numbers cost the client little; a row each would be most of the time a query takes.
    """
    if step is Step.HOUR:
        states, cells = "", _by_hour(wanted)
    else:
        states = f"WITH {_DAYS}"
        cells = f"""
            SELECT site_id, toStartOfDay(timestamp, 'UTC') AS timestamp, metric_, key,
                   sum(cells.value) AS value
            FROM ({_by_day(wanted)}) AS cells
            GROUP BY ALL
        """
    return f"""
        {states}
        SELECT site_id, metric_, key, groupArray(toUInt32(timestamp)), groupArray(value)
        FROM ({cells})
        GROUP BY ALL
        {_READING}
    """


_WEIGHT = """
    sum(if(
        {by:String} IN ('', metric_) OR startsWith(metric_, concat({by:String}, ':')), sum_, 0
    )) OVER (PARTITION BY site_id, key)
"""


def totals(wanted: Wanted, most: int | None) -> str:
    """Site, metric, key, value."""
    every = f"""
        SELECT site_id, metric_, key, sum(value) AS sum_
        FROM ({_by_day(wanted)})
        GROUP BY ALL
    """
    if most is None:
        return f"WITH {_DAYS} {every} {_READING}"
    return f"""
        WITH {_DAYS}
        SELECT site_id, metric_, key, sum_ FROM (
            SELECT *, dense_rank() OVER (PARTITION BY site_id ORDER BY weight DESC, key) AS place
            FROM (SELECT *, {_WEIGHT} AS weight FROM ({every}))
        )
        WHERE place <= {{most:UInt32}} ORDER BY site_id, place, metric_
        {_READING}
    """


def _by_hour(wanted: Wanted, but: str = "") -> str:
    table = "hourly_counts" if wanted.dimension else "hourly_totals"
    rolled = _rolled(table, f"{_CLOSED}{but}", wanted)
    return f"{rolled} UNION ALL {_from_raw(wanted)}" if wanted.raw else rolled


def _by_day(wanted: Wanted) -> str:
    """By the day where a whole day stands, by the hour elsewhere."""
    whole = _rolled("daily_counts", "SELECT arrayJoin(days)", wanted)
    outside = " AND toStartOfDay(timestamp, 'UTC') NOT IN (SELECT arrayJoin(days).1)"
    return f"{whole} UNION ALL {_by_hour(wanted, outside)}"


def _rolled(table: str, versions: str, wanted: Wanted) -> str:
    return _ROLLED.format(
        table=table,
        versions=versions,
        dimension="" if table == "hourly_totals" else f"AND dimension = '{wanted.dimension}'",
        key="key" if wanted.dimension else "''",
        range=_RANGE,
        narrowed=_narrowed("metric", wanted),
    )


def _from_raw(wanted: Wanted) -> str:
    where = _RAW
    if wanted.metrics:
        where += " AND metric IN {raw_metrics:Array(String)}"
    revenue = not wanted.metrics or any(map(_of_revenue, wanted.metrics))
    return f"""
        SELECT site_id, timestamp, metric_, key, value
        FROM ({raw_counts([wanted.dimension], where, revenue=revenue)})
        WHERE true {_narrowed("metric_", wanted)}
    """


def raw_metrics(metrics: Collection[str]) -> list[str]:
    """The metrics of the events that these metrics are counted from."""
    bringing = {revenue: metric for metric, revenue in REVENUES.items()}
    return [bringing.get(metric.split(":")[0], metric) for metric in metrics]


def _narrowed(metric: str, wanted: Wanted) -> str:
    condition = ""
    if wanted.metrics:
        revenues = [name for name in REVENUES.values() if name in wanted.metrics]
        any_currency = "".join(f" OR startsWith({metric}, '{name}:')" for name in revenues)
        condition += f" AND ({metric} IN {{metrics:Array(String)}}{any_currency})"
    if wanted.keys:
        condition += " AND key IN {keys:Array(String)}"
    return condition


def _of_revenue(metric: str) -> bool:
    return metric.split(":")[0] in REVENUES.values()
