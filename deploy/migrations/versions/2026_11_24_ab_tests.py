"""Adds A/B tests of notifications, and the variant of each claim."""

from deploy.migrations import scripts

revision = "2026_11_24_ab_tests"
down_revision = "2026_11_24_plan_limits"


def upgrade() -> None:
    scripts.run("ab_tests.sql")
