"""Adds visitor profiles: sessions, behaviour and a score."""

from deploy.migrations import scripts

revision = "2026_11_24_visitor_profiles"
down_revision = "2026_11_24_partitions"


def upgrade() -> None:
    scripts.run("visitor_profiles.sql")
