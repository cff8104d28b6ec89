"""Celery: its queues, its beat, and the one event loop of each of its processes.

    celery -A workers.app worker -c 2
    celery -A workers.app beat

Every task is safe to run twice, so messages are acknowledged after the work. What a crash or an
outage leaves behind is picked up by beat: the outbox and the inbox in PostgreSQL say what is still
to do, and no task counts down for longer than it takes to say so.
"""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from celery import Celery
from celery.schedules import crontab
from celery.signals import (
    beat_init,
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
)
from kombu import Exchange, Queue

from subgraphs.kernel import db, redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.jobs import SEND_OUTBOX
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.storage import clickhouse
from subgraphs.kernel.streams import event_streams
from workers import broker

T = TypeVar("T")

PROCESS_INBOX = "integrations.process_inbox"
SWEEP_INBOX = "integrations.sweep_inbox"
ROLL_UP = "analytics.roll_up"
REBUILD_COUNTERS = "analytics.rebuild_counters"
FOLD_VISITORS = "analytics.fold_visitors"
FORGET_VISITORS = "analytics.forget_visitors"
FORGET_BODIES = "integrations.forget_bodies"
FORGET_CLAIMS = "notifications.forget_claims"
FORGET_PUBLISHED = "kernel.forget_published"
MAKE_PARTITIONS = "analytics.make_partitions"
ARCHIVE = "analytics.archive"
ADVANCE_ARCHIVES = "analytics.advance_archives"
RESTORE = "analytics.restore"
ADVANCE_RESTORES = "analytics.advance_restores"
EXPORT = "analytics.export"
ADVANCE_EXPORTS = "analytics.advance_exports"

OF_ARCHIVE = (ARCHIVE, ADVANCE_ARCHIVES, RESTORE, ADVANCE_RESTORES, EXPORT, ADVANCE_EXPORTS)
"""What takes long, and so has a queue and workers of its own."""

TASK_SECONDS = 120
"""No task takes longer: they work in batches and leave the rest to the next run."""

VISIBILITY_SECONDS = 300
"""When Redis gives a message out again that nobody acknowledged. Above TASK_SECONDS, or a slow task
would run twice; not by much, or what a killed worker held would wait for longer than it must."""

OUTBOX_EVERY = 2.0
"""Seconds; a net only, the one who writes a job also nudges the sender."""

SWEEP_EVERY = 2.0
"""Seconds; what a killed worker held waits for this and for `inbox.OVERDUE`, no longer."""

ARCHIVE_EVERY = 60.0
"""Seconds between two turns of what is begun; nobody waits for it within seconds."""

EXPORTS_EVERY = 15.0
"""Seconds until an export whose worker was killed goes on."""

FOLD_EVERY = 15.0
"""Seconds that visitors' profiles are behind. A visit's events are then folded in together."""

LOOK_EVERY = 10.0
"""Seconds in which Redis's counters are found to be lost."""


def _configuration() -> dict[str, Any]:
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
        # In memory: the file that beat keeps otherwise may be torn by a kill, and beat then never
        # starts again. What a restart forgets is made good by the next turn.
        "beat_scheduler": "celery.beat:Scheduler",
        "result_expires": None,
        "task_queues": [
            # Where those send who know a task by its name alone.
            Queue("celery", Exchange("celery"), "celery"),
            Queue("inbox", Exchange("inbox"), "inbox"),
            # Queues take turns: in the inbox's, a sweep would expire behind the webhooks of a rush.
            Queue("sweeps", Exchange("sweeps"), "sweeps"),
            Queue("rollups", Exchange("rollups"), "rollups"),
            Queue("archive", Exchange("archive"), "archive"),
        ],
        "task_routes": {
            PROCESS_INBOX: "inbox",
            SWEEP_INBOX: "sweeps",
            ROLL_UP: "rollups",
            **dict.fromkeys(OF_ARCHIVE, "archive"),
        },
        "beat_schedule": {
            "outbox": _every(OUTBOX_EVERY, SEND_OUTBOX),
            "inbox": _every(SWEEP_EVERY, SWEEP_INBOX),
            # Two minutes past the hour, and again for hours that late events have opened since.
            "rollups": {"task": ROLL_UP, "schedule": crontab(minute="2-59/10")},
            "visitors": _every(FOLD_EVERY, FOLD_VISITORS),
            "forgetting visitors": _nightly("5:27", FORGET_VISITORS),
            "forgetting bodies": _nightly("5:32", FORGET_BODIES),
            "forgetting claims": _nightly("5:37", FORGET_CLAIMS),
            "forgetting published": _nightly("5:42", FORGET_PUBLISHED),
            "counters": _every(LOOK_EVERY, REBUILD_COUNTERS),
            "partitions": _nightly("3:17", MAKE_PARTITIONS),
            "archive": _nightly("4:07", ARCHIVE),
            "archives": _every(ARCHIVE_EVERY, ADVANCE_ARCHIVES),
            "restores": _every(ARCHIVE_EVERY, ADVANCE_RESTORES),
            "exports": _every(EXPORTS_EVERY, ADVANCE_EXPORTS),
        },
    }


def _every(seconds: float, task: str) -> dict[str, Any]:
    """A message that nobody took in time has been followed by another: it may expire."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


def _nightly(at: str, task: str) -> dict[str, Any]:
    hour, _, minute = at.partition(":")
    return {"task": task, "schedule": crontab(hour=hour, minute=minute)}


app = Celery(
    "proofgraph",
    amqp=broker.AMQP,
    include=[
        "workers.outbox",
        "workers.inbox",
        "workers.rollups",
        "workers.partitions",
        "workers.rebuild_counters",
        "workers.visitor_profiles",
        "workers.archive",
        "workers.deletion",
        "workers.exports",
    ],
)
app.add_defaults(_configuration)  # read when first needed, as all settings are

_runner: asyncio.Runner | None = None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run async work on the process's one loop: its pooled connections belong to that loop."""
    global _runner
    if _runner is None:
        _runner = asyncio.Runner()
    return _runner.run(work)


@setup_logging.connect
def _log(**_: Any) -> None:
    """Our lines instead of Celery's own; a line a task would be most of the log."""
    configure_logging()
    for chatty in ("celery.app.trace", "celery.worker.strategy", "celery.beat"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@worker_ready.connect
@beat_init.connect
def _ready(**_: Any) -> None:
    """For whoever waits for this process."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


@worker_process_init.connect
def _start(**_: Any) -> None:
    """A forked process shares no loop and no connection with the one it came from."""
    global _runner
    _runner = asyncio.Runner()


@worker_process_shutdown.connect
def _stop(**_: Any) -> None:
    global _runner
    if _runner is not None:
        _runner.run(_dispose())
        _runner.close()
        _runner = None


async def _dispose() -> None:
    for close in (event_streams.dispose, clickhouse.dispose, redis.dispose, db.dispose):
        await close()
