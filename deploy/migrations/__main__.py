"""`python -m deploy.migrations upgrade`: bring PostgreSQL and ClickHouse to the newest shape.

Runs as the owner of the tables (OWNER_DATABASE_URL). APP_DB_PASSWORD and WORKER_DB_PASSWORD set the
passwords of the two roles the services log in with; neither owns a table nor bypasses row security.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import clickhouse_connect
from alembic import command
from alembic.config import Config

from deploy.migrations import clickhouse
from subgraphs.kernel.config import settings

HERE = Path(__file__).parent

STATEMENT_TIMEOUT = "8s"
"""What a statement of the subgraphs may take: nobody's query keeps connections from all others. The
worker has no such limit: it copies, counts and archives."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.migrations", description=__doc__)
    parser.add_argument("action", choices=["upgrade"])
    parser.parse_args()
    for name in ("OWNER_DATABASE_URL", "APP_DB_PASSWORD", "WORKER_DB_PASSWORD"):
        if not os.environ.get(name):
            print(f"{name} is not set: see the top of deploy/migrations/__main__.py.")
            return 2
    asyncio.run(_create_roles())
    command.upgrade(_alembic(), "head")
    _upgrade_clickhouse()
    return 0


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    return config


async def _create_roles() -> None:
    connection = await asyncpg.connect(settings().owner_database_url.get_secret_value())
    try:
        for role, password in (
            ("proofgraph_app", os.environ["APP_DB_PASSWORD"]),
            ("proofgraph_worker", os.environ["WORKER_DB_PASSWORD"]),
        ):
            exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
            verb = "ALTER" if exists else "CREATE"
            # Roles take no bind parameters: PostgreSQL itself quotes the two values.
            statement = await connection.fetchval(
                f"SELECT format('{verb} ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)",
                role,
                password,
            )
            await connection.execute(statement)
        await connection.execute(
            f"ALTER ROLE proofgraph_app SET statement_timeout = '{STATEMENT_TIMEOUT}'"
        )
    finally:
        await connection.close()


def _upgrade_clickhouse() -> None:
    client = clickhouse_connect.get_client(dsn=settings().clickhouse_url)
    clickhouse.upgrade(
        client,
        database=settings().clickhouse_database,
        cluster=settings().clickhouse_cluster,
        raw_retention_days=settings().raw_retention_days,
    )
    client.close()


sys.exit(main())
