"""The queries that the bench of analytics compares."""

METRICS = ("orders", "published", "shown", "clicked", "dismissed")

PEER = """
    SELECT toStartOfHour(occurred_at, 'UTC') AS hour, metric, count() FROM raw_events FINAL
    WHERE site_id = {site:UUID} AND metric IN {metrics:Array(String)}
      AND occurred_at >= {start:DateTime('UTC')} AND occurred_at < {end:DateTime('UTC')}
    GROUP BY hour, metric
"""

READ = """
    SELECT toUInt32(timestamp), toString(metric), value FROM hourly_totals
    WHERE site_id = {site:UUID} AND metric IN {metrics:Array(String)}
      AND timestamp >= {start:DateTime('UTC')} AND timestamp < {end:DateTime('UTC')}
"""

DOCUMENT = """
query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!) {
  _entities(representations: $sites) {
    ... on Site {
      analytics(start: $start, end: $end, granularity: HOUR,
                metrics: [ORDERS, PUBLISHED, SHOWN, CLICKED, DISMISSED]) {
        totals { orders published shown clicked dismissed }
        points { start counters { orders published shown clicked dismissed } }
      }
    }
  }
}"""
