"""Adds the limits of plans: events a second, and days until raw events are archived."""

from deploy.migrations import scripts

revision = "2026_11_24_plan_limits"
down_revision = "2026_11_24_first_tables"


def upgrade() -> None:
    scripts.run("plan_limits.sql")
