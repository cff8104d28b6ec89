"""Lets two sessions that need the same new month both succeed."""

from deploy.migrations import scripts

revision = "2026_11_25_new_months"
down_revision = "2026_11_25_one_way_to_drop"


def upgrade() -> None:
    scripts.run("new_months.sql")
