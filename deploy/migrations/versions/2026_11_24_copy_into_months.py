"""Lets the worker COPY into the monthly partitions of `notification_events`."""

from deploy.migrations import scripts

revision = "2026_11_24_copy_into_months"
down_revision = "2026_11_24_source_events_before"


def upgrade() -> None:
    scripts.run("copy_into_months.sql")
