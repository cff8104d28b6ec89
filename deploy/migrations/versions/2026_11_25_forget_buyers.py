"""Lets the worker delete the personal data of buyers from webhooks and claims."""

from deploy.migrations import scripts

revision = "2026_11_25_forget_buyers"
down_revision = "2026_11_24_count_facts"


def upgrade() -> None:
    scripts.run("forget_buyers.sql")
