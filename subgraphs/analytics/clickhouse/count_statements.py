"""The SQL of counts and totals: closed hours and days from the rollups, open hours from raw events.

All statements take the parameters `sites`, `start`, `end`, `open` (the open hours of the range),
`metrics`, `raw_metrics` and `keys`.
"""

from collections.abc import Collection
from typing import NamedTuple

from subgraphs.analytics.clickhouse.metrics import REVENUE_METRICS, Dimension, Granularity
from subgraphs.analytics.clickhouse.open_hours import STATE_OF_DAY
from subgraphs.analytics.clickhouse.raw_counts import is_revenue, raw_counts

_RANGE = "timestamp >= {start:DateTime('UTC')} AND timestamp < {end:DateTime('UTC')}"

_OPEN = "{open:Array(DateTime('UTC'))}"

# The open hours were read before. Had any other hour changed since, `open_hours` would discard the
# answer.
_CLOSED = f"""
    SELECT timestamp, version FROM rolled_hours FINAL
    WHERE closed AND {_RANGE} AND NOT has({_OPEN}, timestamp)
"""

# The whole days that were rolled up from just these hours, with their versions.
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

# A rollup that was written twice has each row twice until ClickHouse merges them; both are alike.
_ROLLED = """
    SELECT site_id, timestamp, toString(metric) AS metric_, {key} AS key, any(value) AS value
    FROM {table}
    WHERE site_id IN {{sites:Array(UUID)}} {dimension} AND {range}
      AND (timestamp, version) IN ({versions}) {conditions}
    GROUP BY ALL
"""

_RAW = f"""
    site_id IN {{sites:Array(UUID)}}
    AND occurred_at >= arrayMin({_OPEN}) AND occurred_at < arrayMax({_OPEN}) + INTERVAL 1 HOUR
    AND has({_OPEN}, toStartOfHour(occurred_at, 'UTC'))
"""

# Looking the versions up in the primary key costs more than it saves: the range has narrowed it.
_READ_SETTINGS = "SETTINGS use_index_for_in_with_subqueries = 0"

_WEIGHT = """
    sum(if(
        {by:String} IN ('', metric_) OR startsWith(metric_, concat({by:String}, ':')), sum_, 0
    )) OVER (PARTITION BY site_id, key)
"""


class Shape(NamedTuple):
    """The parts of a query that change the text of its statement."""

    dimension: Dimension | None
    metrics: Collection[str]
    keys: Collection[str]
    has_open_hours: bool


def counts(granularity: Granularity, shape: Shape) -> str:
    """SQL of counts by bucket: site, metric, key, bucket starts (seconds since 1970), values.

    Starts and values are two lists of the same length. Rows of their own would take most of the
    query's time in the client.
    """
    if granularity is Granularity.HOUR:
        days, cells = "", _by_hour(shape)
    else:
        days = f"WITH {_DAYS}"
        cells = f"""
            SELECT site_id, toStartOfDay(timestamp, 'UTC') AS timestamp, metric_, key,
                   sum(cells.value) AS value
            FROM ({_by_day(shape)}) AS cells
            GROUP BY ALL
        """
    return f"""
        {days}
        SELECT site_id, metric_, key, groupArray(toUInt32(timestamp)), groupArray(value)
        FROM ({cells})
        GROUP BY ALL
        {_READ_SETTINGS}
    """


def totals(shape: Shape, limit: int | None) -> str:
    """SQL of sums over the range: site, metric, key, value.

    Args:
        limit: With a limit, the statement also takes the parameters `limit`, the number of keys of
            each site, and `by`, the metric that ranks them.
    """
    every = f"""
        SELECT site_id, metric_, key, sum(value) AS sum_
        FROM ({_by_day(shape)})
        GROUP BY ALL
    """
    if limit is None:
        return f"WITH {_DAYS} {every} {_READ_SETTINGS}"
    return f"""
        WITH {_DAYS}
        SELECT site_id, metric_, key, sum_ FROM (
            SELECT *, dense_rank() OVER (PARTITION BY site_id ORDER BY weight DESC, key) AS rank
            FROM (SELECT *, {_WEIGHT} AS weight FROM ({every}))
        )
        WHERE rank <= {{limit:UInt32}} ORDER BY site_id, rank, metric_
        {_READ_SETTINGS}
    """


def _by_hour(shape: Shape, condition: str = "") -> str:
    table = "hourly_counts" if shape.dimension else "hourly_totals"
    rolled = _rolled(table, f"{_CLOSED}{condition}", shape)
    return f"{rolled} UNION ALL {_from_raw(shape)}" if shape.has_open_hours else rolled


def _by_day(shape: Shape) -> str:
    """From the daily rollups for whole days, from hours for the rest of the range."""
    whole = _rolled("daily_counts", "SELECT arrayJoin(days)", shape)
    outside = " AND toStartOfDay(timestamp, 'UTC') NOT IN (SELECT arrayJoin(days).1)"
    return f"{whole} UNION ALL {_by_hour(shape, outside)}"


def _rolled(table: str, versions: str, shape: Shape) -> str:
    is_total = table == "hourly_totals"
    return _ROLLED.format(
        table=table,
        versions=versions,
        dimension="" if is_total else f"AND dimension = '{shape.dimension or ''}'",
        key="key" if shape.dimension else "''",
        range=_RANGE,
        conditions=_conditions("metric", shape),
    )


def _from_raw(shape: Shape) -> str:
    where = _RAW
    if shape.metrics:
        where += " AND metric IN {raw_metrics:Array(String)}"
    with_revenue = not shape.metrics or any(map(is_revenue, shape.metrics))
    return f"""
        SELECT site_id, timestamp, metric_, key, value
        FROM ({raw_counts([shape.dimension], where, with_revenue=with_revenue)})
        WHERE true {_conditions("metric_", shape)}
    """


def _conditions(metric: str, shape: Shape) -> str:
    conditions = ""
    if shape.metrics:
        revenues = [name for name in REVENUE_METRICS.values() if name in shape.metrics]
        any_currency = "".join(f" OR startsWith({metric}, '{name}:')" for name in revenues)
        conditions += f" AND ({metric} IN {{metrics:Array(String)}}{any_currency})"
    if shape.keys:
        conditions += " AND key IN {keys:Array(String)}"
    return conditions
