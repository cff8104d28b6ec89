"""The shape of the stores: Alembic over PostgreSQL, plain statements over ClickHouse."""
