"""Adds the index that finds profiles of visitors who have not returned."""

from deploy.migrations import scripts

revision = "2026_11_24_forget_visitors"
down_revision = "2026_11_24_visitor_deeds"


def upgrade() -> None:
    scripts.run("forget_visitors.sql")
