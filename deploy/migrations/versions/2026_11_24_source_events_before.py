"""Adds a function that reads one page of a site's source events by index."""

from deploy.migrations import scripts

revision = "2026_11_24_source_events_before"
down_revision = "2026_11_24_forget_visitors"


def upgrade() -> None:
    scripts.run("source_events_before.sql")
