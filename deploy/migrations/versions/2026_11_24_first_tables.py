"""Creates the first tables, with row-level security."""

from deploy.migrations import scripts

revision = "2026_11_24_first_tables"
down_revision = None


def upgrade() -> None:
    scripts.run("tables.sql", "personal_data.sql", "row_security.sql")
