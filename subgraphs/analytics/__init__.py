"""Analytics: the ledger of all events, and the counts made from it.

Owns the source events, the notification events and their counts: the ledger in PostgreSQL, the
counts in ClickHouse, the live counters in Redis. Adds counts, events, archives and exports to
`Site`, `stats` to `Notification`, `results` to `ABTest`, and the subscription `siteActivity`.

Consumes every event of the stream (`pipeline`). Receives what the snippet reports (`ingest`), and
emits it as `claim.shown`, `claim.clicked`, `claim.dismissed`, `claim.withheld`, `page.viewed` and
`goal.reached`.

    queries      the queries of counts and their limits
    query_range  the ranges of time that may be queried
    rates        proportions with confidence intervals
    site_events  pages of the ledger's events
    clickhouse   raw events, rollups and counts
    archive      events past their retention, in S3
    exports      files of a site's events

Other domains do not import analytics. Workers enter by `service`, `models`, `pipeline` and the
stores.
"""
