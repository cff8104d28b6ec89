"""The SQL that counts raw events by the hour.

Queries and rollups share this text, so a rolled hour has exactly the counts that a query of its raw
events would return.
"""

from collections.abc import Collection, Sequence

from subgraphs.analytics.clickhouse.metrics import REVENUE_METRICS, Dimension

_KEYS: dict[Dimension | None, str] = {
    None: "''",
    Dimension.NOTIFICATION: "ifNull(toString(notification_id), '')",
    Dimension.VARIANT: "ifNull(toString(variant_id), '')",
    Dimension.PAGE: "page",
    Dimension.DEVICE: "toString(device)",
    Dimension.COUNTRY: "toString(country)",
}

_RAW_COUNTS = """
    SELECT site_id, toStartOfHour(occurred_at, 'UTC') AS timestamp, {metric} AS metric_,
           {dimension} AS dimension, {key} AS key, sum({amount}) AS value
    FROM raw_events FINAL {joined}
    WHERE {where} AND (dimension = '' OR key != '')
    GROUP BY ALL
"""

_WITH_REVENUE = f"if(metric IN {tuple(REVENUE_METRICS)} AND currency != '', [false, true], [false])"

_REVENUE_METRIC = "concat(replaceOne(toString(metric), 'converted', 'revenue'), ':', currency)"


def raw_counts(
    dimensions: Sequence[Dimension | None], where: str, *, with_revenue: bool = True
) -> str:
    """SQL of counts by the hour: site_id, timestamp, metric_, dimension, key, value.

    An event without a value in a dimension has no row there; the total includes it.

    Args:
        dimensions: At least one; None is the total.
    """
    joined = []
    metric, amount = "toString(metric)", "toInt64(1)"
    if with_revenue:
        joined.append(f"{_WITH_REVENUE} AS revenue")
        metric = f"if(revenue, {_REVENUE_METRIC}, toString(metric))"
        amount = "if(revenue, amount_minor, 1)"
    dimension, key = f"'{dimensions[0] or ''}'", _KEYS[dimensions[0]]
    if len(dimensions) > 1:
        entries = ", ".join(f"('{it or ''}', {_KEYS[it]})" for it in dimensions)
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


def raw_metrics(metrics: Collection[str]) -> list[str]:
    """The metrics of the raw events that these metrics are counted from."""
    conversions = {revenue: metric for metric, revenue in REVENUE_METRICS.items()}
    return [conversions.get(metric.split(":")[0], metric) for metric in metrics]


def is_revenue(metric: str) -> bool:
    """Whether a metric is a sum of money, with or without a currency."""
    return metric.split(":")[0] in REVENUE_METRICS.values()
