"""Runs the SQL files that the migrations are made of."""

from pathlib import Path
from typing import Any

from alembic import op

SQL = Path(__file__).parent / "sql"


def run(*names: str) -> None:
    """Run these files of `sql/`, in this order, in the migration's transaction."""
    # A script of many statements runs only on asyncpg's raw connection, without parameters.
    raw: Any = op.get_bind().connection.dbapi_connection
    for name in names:
        script = (SQL / name).read_text()
        raw.run_async(lambda driver, script=script: driver.execute(script))
