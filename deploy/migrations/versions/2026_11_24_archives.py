"""Adds the archive, restores and exports."""

from deploy.migrations import scripts

revision = "2026_11_24_archives"
down_revision = "2026_11_24_visitor_profiles"


def upgrade() -> None:
    scripts.run("archives.sql")
