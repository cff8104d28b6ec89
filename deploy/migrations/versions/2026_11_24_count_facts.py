"""Adds orders and page views to the ledger's counters."""

from deploy.migrations import scripts

revision = "2026_11_24_count_facts"
down_revision = "2026_11_24_copy_into_months"


def upgrade() -> None:
    scripts.run("count_facts.sql")
