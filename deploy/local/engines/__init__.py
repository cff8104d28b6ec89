"""Real engines from packages, and how each is started.

PostgreSQL, Valkey, ClickHouse, Kafka, S3, Envoy and Apollo Router.
"""
