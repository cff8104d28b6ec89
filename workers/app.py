"""The Celery app of the workers, and the one event loop of each of its processes.

    celery -A workers.app worker -c 2

Every task is safe to run twice, so messages are acknowledged after the work. Beat picks up what a
crash or an outage leaves: the outbox and the inbox in PostgreSQL list what is still to do. No task
waits in a Celery countdown.
"""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from celery import Celery
from celery.signals import (
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
)

from subgraphs.kernel import db, redis, worker_pool
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.storage import clickhouse
from subgraphs.kernel.streams import event_streams
from workers import broker
from workers.configuration import configuration

T = TypeVar("T")

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
        "workers.restores",
        "workers.deletion",
        "workers.exports",
    ],
)
app.add_defaults(configuration)  # read at first use, like all settings

_runner: asyncio.Runner | None = None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run async work on the process's one event loop: pooled connections belong to that loop."""
    global _runner
    if _runner is None:
        _runner = asyncio.Runner()
    return _runner.run(work)


@setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    """Log our lines instead of Celery's: one line per task would be most of the log."""
    configure_logging()
    for verbose in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(verbose).setLevel(logging.WARNING)


@worker_ready.connect
def _report_ready(**_: Any) -> None:
    """Print `ready`, which the supervisor waits for."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


@worker_process_init.connect
def _start_loop(**_: Any) -> None:
    """Start an event loop: a forked process must not share its parent's loop and connections."""
    global _runner
    _runner = asyncio.Runner()


@worker_process_shutdown.connect
def _stop_loop(**_: Any) -> None:
    global _runner
    if _runner is not None:
        _runner.run(_dispose())
        _runner.close()
        _runner = None


async def _dispose() -> None:
    for store in (event_streams, clickhouse, redis, worker_pool, db):
        await store.dispose()
