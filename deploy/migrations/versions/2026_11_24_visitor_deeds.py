"""Adds the journal of visitor events between the ledger and the profiles."""

from deploy.migrations import scripts

revision = "2026_11_24_visitor_deeds"
down_revision = "2026_11_24_archives"


def upgrade() -> None:
    scripts.run("visitor_deeds.sql")
