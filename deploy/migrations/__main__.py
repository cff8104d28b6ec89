"""`python -m deploy.migrations upgrade`: upgrades PostgreSQL and ClickHouse to the newest schema.

Connects as the owner of the tables (OWNER_DATABASE_URL). APP_DB_PASSWORD and WORKER_DB_PASSWORD are
the passwords of the two roles of the services, which own no table and cannot bypass row security.
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
"""The time limit of the subgraphs' statements, so that slow queries do not use up the connections.
The worker has no such limit, because it copies, counts and archives."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.migrations", description=__doc__)
    parser.add_argument("action", choices=["upgrade"])
    parser.parse_args()
    for name in ("OWNER_DATABASE_URL", "APP_DB_PASSWORD", "WORKER_DB_PASSWORD"):
        if not os.environ.get(name):
            print(f"{name} is not set: set it as deploy/migrations/__main__.py describes.")
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
            # CREATE ROLE takes no bind parameters, so PostgreSQL quotes the two values first.
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
