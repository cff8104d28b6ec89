"""Lets only the archiver drop chunks of the ledger."""

from deploy.migrations import scripts

revision = "2026_11_25_one_way_to_drop"
down_revision = "2026_11_25_forget_buyers"


def upgrade() -> None:
    scripts.run("one_way_to_drop.sql")
