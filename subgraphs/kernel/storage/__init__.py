"""Stores beside PostgreSQL and Redis, and locks: ClickHouse, S3 objects, advisory locks."""
