"""Compress `events` in the order in which pages read it, where it is a TimescaleDB hypertable."""

from deploy.migrations import scripts

revision = "2026_11_27_compress_events"
down_revision = "2026_11_27_visitor_event_journal"


def upgrade() -> None:
    scripts.run("compress_events.sql")
