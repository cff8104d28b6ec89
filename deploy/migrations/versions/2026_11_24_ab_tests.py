"""A/B tests of notifications, and the variant a claim was worded by."""

from deploy.migrations import scripts

revision = "2026_11_24_ab_tests"
down_revision = "2026_11_24_plan_limits"


def upgrade() -> None:
    scripts.run("ab_tests.sql")
