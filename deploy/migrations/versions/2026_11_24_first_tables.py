"""The first tables, with row-level security from the start."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "2026_11_24_first_tables"
down_revision = None

SQL = Path(__file__).parent.parent / "sql"
FILES = ("tables.sql", "personal_data.sql", "row_security.sql")


def upgrade() -> None:
    # A script of many statements runs only on asyncpg's raw connection, without parameters.
    raw: Any = op.get_bind().connection.dbapi_connection
    for name in FILES:
        script = (SQL / name).read_text()
        raw.run_async(lambda driver, script=script: driver.execute(script))
