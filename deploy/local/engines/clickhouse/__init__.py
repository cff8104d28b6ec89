"""ClickHouse on one machine: its engine (chdb) behind an HTTP door on loopback.

The door speaks as the server does, so every process uses the same client as in production.

    python -m deploy.local.engines.clickhouse --port 8123 --data .proofgraph/clickhouse

statement  what must be known of a statement before the engine sees it
engine     the engine itself: sessions, settings, results
door       HTTP: how a request becomes a statement, and an outcome a response
"""
