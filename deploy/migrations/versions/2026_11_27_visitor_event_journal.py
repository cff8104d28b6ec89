"""Rename visitor_deeds to visitor_event_journal."""

from deploy.migrations import scripts

revision = "2026_11_27_visitor_event_journal"
down_revision = "2026_11_25_new_months"


def upgrade() -> None:
    scripts.run("visitor_event_journal.sql")
