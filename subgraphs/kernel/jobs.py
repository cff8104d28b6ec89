"""Sends Celery tasks through the outbox: a row in the caller's transaction, sent after the commit.

A crash between commit and send loses nothing: the sender finds the row later. A crash between send
and delete sends the task twice: tasks are safe to run twice.
"""

import asyncio
import time
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from anyio import to_thread
from celery import Celery
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel import task_names
from subgraphs.kernel.config import settings
from subgraphs.kernel.db import Base
from subgraphs.kernel.ids import new_id

log = structlog.stdlib.get_logger(__name__)

WAKE_EXPIRY = 2.0
"""Seconds until an unread wake-up expires. Beat sends one as often, and a queue of them would delay
the work."""

WAKE_INTERVAL = 0.05
"""Seconds between two wake-ups of a process; the stream worker collects a batch for as long."""


class OutboxJob(Base):
    """A task that is sent once its transaction has committed."""

    __tablename__ = "outbox"
    # The app's role may insert jobs and not read them, not even the defaults of its own rows.
    __mapper_args__ = {"eager_defaults": False}

    id: Mapped[UUID] = mapped_column(primary_key=True)
    task: Mapped[str]
    arguments: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


def enqueue(session: AsyncSession, task: str, **arguments: Any) -> None:
    """Run a Celery task after the session's transaction commits; the arguments must be JSON."""
    session.add(OutboxJob(id=new_id(), task=task, arguments=arguments))


def producer() -> Celery:
    """A Celery app that sends tasks by name and has none of its own."""
    app = Celery("proofgraph", broker=settings().broker_url)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # The default retries for six seconds; the row in the outbox can wait, its writer cannot.
        broker_transport_options={"max_retries": 1, "interval_start": 0},
    )
    return app


async def wake_outbox(sender: Celery) -> None:
    """Have the outbox sent now.

    An error is logged and not raised: beat sends the outbox some seconds later.
    """

    def send() -> None:
        sender.send_task(task_names.SEND_OUTBOX, retry=False, expires=WAKE_EXPIRY)

    try:
        await to_thread.run_sync(send)
    except Exception as error:  # any error of the broker: the outbox row is safe
        log.warning("outbox_wake_up_failed", error=repr(error))


class OutboxWaker:
    """Wakes the outbox sender for one process: the first call at once, a burst of calls rarely.

    A wake-up costs as much as a job, and its thread takes time from the event loop.
    """

    def __init__(self) -> None:
        self._sender = producer()
        self._is_wanted = False
        self._is_running = False
        self._not_before = 0.0

    async def wake(self) -> None:
        """Have the outbox sent; jobs committed before this call are included."""
        self._is_wanted = True
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._is_wanted:
                await asyncio.sleep(self._not_before - time.monotonic())
                self._is_wanted = False
                await wake_outbox(self._sender)
                self._not_before = time.monotonic() + WAKE_INTERVAL
        finally:
            self._is_running = False
