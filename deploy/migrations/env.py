"""Alembic's entry point: runs all migrations in one transaction, as the owner of the tables."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from subgraphs.kernel.config import settings
from subgraphs.kernel.db import asyncpg_url


def run(connection: Connection) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    url = asyncpg_url(settings().owner_database_url.get_secret_value())
    engine = create_async_engine(url, hide_parameters=True)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


asyncio.run(main())
