"""ClickHouse on one machine: its engine (chdb) behind an HTTP server on loopback.

The HTTP server implements ClickHouse's protocol, so every process uses its production client.

    python -m deploy.local.engines.clickhouse --port 8123 --data .proofgraph/clickhouse

statement    splits a request's text into the statement and its data
engine       runs statements: sessions, settings, results
errors       ClickHouse's error codes and their HTTP statuses
encodings    compressed request bodies
memory       returns memory that only the start needed
http_server  turns HTTP requests into statements, and results into responses
"""
