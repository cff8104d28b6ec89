"""Runs the SQL files of the migrations."""

from pathlib import Path
from typing import Any

from alembic import op

SQL = Path(__file__).parent / "sql"


def run(*names: str) -> None:
    """Run files of `sql/` in order, in the transaction of the migration."""
    # asyncpg runs a script of several statements only on its raw connection, without parameters.
    raw: Any = op.get_bind().connection.dbapi_connection
    for name in names:
        script = (SQL / name).read_text()
        raw.run_async(lambda driver, script=script: driver.execute(script))
