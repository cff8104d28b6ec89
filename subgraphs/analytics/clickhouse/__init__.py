"""Counts in ClickHouse: raw events, the rollups made from them, and the queries that read both.

Owns the tables `raw_events`, `hourly_counts`, `hourly_totals`, `daily_counts`, `rolled_hours` and
`rolled_days`.

    metrics             what is counted, by which dimension and granularity
    hours               arithmetic on hours of UTC
    raw_events          writes: events are inserted and their hours are opened
    rollups, partitions writes: hours and days are counted and closed, partitions are merged
    counts              reads: counts by bucket, sums over a range
    count_statements, raw_counts, open_hours   the parts of a read

The pipeline may call `raw_events`, the rollup task `rollups` and `partitions`, and the service of
analytics `counts`. Nothing here knows tenants: callers check that the viewer may see a site.
"""
