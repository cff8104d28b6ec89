"""Index the inbox for batches, and tell live webhooks from backfill."""

from deploy.migrations import scripts

revision = "2026_11_27_inbox_batches"
down_revision = "2026_11_27_compress_events"


def upgrade() -> None:
    scripts.run("inbox_batches.sql")
