"""Partitions the ledger by month: with TimescaleDB if available, else natively."""

from deploy.migrations import scripts

revision = "2026_11_24_partitions"
down_revision = "2026_11_24_ab_tests"


def upgrade() -> None:
    scripts.run("partitions.sql")
