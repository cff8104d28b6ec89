"""Analytics: the ledger of everything that happened, and the numbers taken from it.

Owns the source events, the notification events and their counts: in PostgreSQL the ledger, in
ClickHouse the numbers, in Redis the live counters. Adds `analytics` to `Site`, and lets a dashboard
follow a site's activity. Hears every event of the stream (`pipeline`), and is the door through
which the snippet tells what visitors saw (`ingest`), which it emits as `claim.shown`,
`claim.clicked`, `claim.dismissed` and `page.viewed`.
"""
