"""The names of all Celery tasks: subgraphs send by name, and workers register under it.

Messages in a broker and rows in the outbox carry these names: to change one loses those messages.
"""

SEND_OUTBOX = "outbox.send"

PROCESS_INBOX = "integrations.process_inbox"
INBOX_QUEUE = "inbox"
"""The queue of PROCESS_INBOX: no other task delays a live order."""

ROLL_UP = "analytics.roll_up"
REBUILD_COUNTERS = "analytics.rebuild_counters"
MAKE_PARTITIONS = "analytics.make_partitions"
FOLD_VISITOR_JOURNAL = "analytics.fold_visitors"

ARCHIVE = "analytics.archive"
ADVANCE_ARCHIVES = "analytics.advance_archives"
RESTORE = "analytics.restore"
ADVANCE_RESTORES = "analytics.advance_restores"
EXPORT = "analytics.export"
ADVANCE_EXPORTS = "analytics.advance_exports"

DELETE_VISITOR_PROFILES = "analytics.delete_visitor_profiles"
DELETE_WEBHOOK_BODIES = "integrations.delete_webhook_bodies"
DELETE_CLAIMS = "notifications.delete_claims"
DELETE_PUBLISHED = "kernel.delete_published"
