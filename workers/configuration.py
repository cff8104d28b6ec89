"""Celery's settings: its broker, queues, and beat's schedule."""

from typing import Any

from celery.schedules import crontab
from kombu import Exchange, Queue

from subgraphs.kernel import task_names
from subgraphs.kernel.config import settings

TASK_SECONDS = 120
"""Time limit of a task: tasks work in batches and leave the rest to the next run."""

VISIBILITY_SECONDS = 300
"""After this time Redis delivers an unacknowledged message again. It exceeds TASK_SECONDS, or slow
tasks would run twice; a greater value would delay what a killed worker held."""

SEND_OUTBOX_EVERY = 2.0
"""Seconds; the longest delay of a job."""

PROCESS_INBOX_EVERY = 2.0
"""Seconds; a safety net only, since the webhook receiver also wakes the task. What a killed worker
or a lost message left waits for this."""

ADVANCE_ARCHIVES_EVERY = 60.0
"""Seconds between two turns of the archive; nobody needs its result within seconds."""

ADVANCE_EXPORTS_EVERY = 15.0
"""Seconds until an export whose worker was killed continues."""

FOLD_JOURNAL_EVERY = 15.0
"""Seconds that visitor profiles lag behind; the events of a visit are then folded together."""

CHECK_COUNTERS_EVERY = 10.0
"""Seconds until a loss of Redis's counters is noticed."""

_ARCHIVE_TASKS = (
    task_names.ARCHIVE,
    task_names.ADVANCE_ARCHIVES,
    task_names.RESTORE,
    task_names.ADVANCE_RESTORES,
    task_names.EXPORT,
    task_names.ADVANCE_EXPORTS,
)
"""Long tasks, which have a queue and workers of their own."""


def configuration() -> dict[str, Any]:
    """All settings of the Celery app."""
    return {
        "broker_url": settings().broker_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {"visibility_timeout": VISIBILITY_SECONDS},
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_time_limit": TASK_SECONDS,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_enable_remote_control": False,
        "worker_redirect_stdouts": False,
        "timezone": "UTC",
        # In memory: a kill may damage beat's default schedule file, and beat then never starts
        # again. The next run makes up for what a restart forgets.
        "beat_scheduler": "celery.beat:Scheduler",
        "result_expires": None,
        "task_queues": _queues(),
        "task_routes": {
            task_names.PROCESS_INBOX: task_names.INBOX_QUEUE,
            task_names.ROLL_UP: "rollups",
            **dict.fromkeys(_ARCHIVE_TASKS, "archive"),
        },
        "beat_schedule": _schedule(),
    }


def _queues() -> list[Queue]:
    return [
        # The default: subgraphs know a task by its name alone, and send it here.
        Queue("celery", Exchange("celery"), "celery"),
        # A worker takes from its queues by turns, so that no other task delays a live order.
        Queue(task_names.INBOX_QUEUE, Exchange(task_names.INBOX_QUEUE), task_names.INBOX_QUEUE),
        Queue("rollups", Exchange("rollups"), "rollups"),
        Queue("archive", Exchange("archive"), "archive"),
    ]


def _schedule() -> dict[str, Any]:
    return {
        "outbox": _every(SEND_OUTBOX_EVERY, task_names.SEND_OUTBOX),
        "inbox": _every(PROCESS_INBOX_EVERY, task_names.PROCESS_INBOX),
        # Two minutes past the hour, and again for hours that late events have reopened.
        "rollups": {"task": task_names.ROLL_UP, "schedule": crontab(minute="2-59/10")},
        "visitor journal": _every(FOLD_JOURNAL_EVERY, task_names.FOLD_VISITOR_JOURNAL),
        "visitor profiles": _nightly("5:27", task_names.DELETE_VISITOR_PROFILES),
        "webhook bodies": _nightly("5:32", task_names.DELETE_WEBHOOK_BODIES),
        "claims": _nightly("5:37", task_names.DELETE_CLAIMS),
        "published": _nightly("5:42", task_names.DELETE_PUBLISHED),
        "counters": _every(CHECK_COUNTERS_EVERY, task_names.REBUILD_COUNTERS),
        "partitions": _nightly("3:17", task_names.MAKE_PARTITIONS),
        "archive": _nightly("4:07", task_names.ARCHIVE),
        "archives": _every(ADVANCE_ARCHIVES_EVERY, task_names.ADVANCE_ARCHIVES),
        "restores": _every(ADVANCE_ARCHIVES_EVERY, task_names.ADVANCE_RESTORES),
        "exports": _every(ADVANCE_EXPORTS_EVERY, task_names.ADVANCE_EXPORTS),
    }


def _every(seconds: float, task: str) -> dict[str, Any]:
    """A periodic task; an unread message expires when the next one is sent."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


def _nightly(at: str, task: str) -> dict[str, Any]:
    hour, _, minute = at.partition(":")
    return {"task": task, "schedule": crontab(hour=hour, minute=minute)}
