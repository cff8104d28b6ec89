"""The schemas of the stores: Alembic for PostgreSQL, repeatable statements for ClickHouse."""
