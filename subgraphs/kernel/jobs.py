"""Jobs leave through the outbox: a row in the transaction that wants them, sent after its commit.

A crash between commit and send loses nothing: the sender finds the row later. A crash between send
and delete sends twice: tasks are safe to run twice.
"""

import asyncio
import logging
import time
from datetime import datetime
from typing import Any
from uuid import UUID

from anyio import to_thread
from celery import Celery
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.config import settings
from subgraphs.kernel.db import Base
from subgraphs.kernel.ids import new_id

log = logging.getLogger(__name__)

SEND_OUTBOX = "outbox.send"
"""The task that empties the outbox."""

NUDGE_SECONDS = 2.0
"""How long a nudge may lie: beat sends one as often, and a heap of them holds up the work."""

NUDGE_EVERY = 0.05
"""Seconds between two nudges of a process; the stream worker gathers for as long anyway."""


class OutboxJob(Base):
    """A task that must run once its transaction has committed."""

    __tablename__ = "outbox"
    # The app's role may write jobs and not read them, not even what the database put into its own.
    __mapper_args__ = {"eager_defaults": False}

    id: Mapped[UUID] = mapped_column(primary_key=True)
    task: Mapped[str]
    arguments: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


def enqueue(session: AsyncSession, task: str, **arguments: Any) -> None:
    """Have a Celery task run after the session's transaction commits; arguments are JSON."""
    session.add(OutboxJob(id=new_id(), task=task, arguments=arguments))


def producer() -> Celery:
    """A Celery app that only sends, by name; it knows no task."""
    app = Celery("proofgraph", broker=settings().broker_url)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # By itself it would try for six seconds; the row in the outbox can wait, its writer not.
        broker_transport_options={"max_retries": 1, "interval_start": 0},
    )
    return app


async def nudge(sender: Celery) -> None:
    """Have the outbox emptied now. A miss costs a beat's interval, so it is logged, not raised."""

    def send() -> None:
        sender.send_task(SEND_OUTBOX, retry=False, expires=NUDGE_SECONDS)

    try:
        await to_thread.run_sync(send)
    except Exception as error:  # the outbox row is safe: whatever the broker says can wait
        log.warning("could not wake the outbox sender: %s", error)


class Nudger:
    """The nudges of one process: the first goes at once, a burst of them becomes a few.

    A nudge costs as much as the job it follows, and takes its thread's turns from the event loop.
    """

    def __init__(self) -> None:
        self._sender = producer()
        self._wanted = False
        self._busy = False
        self._next = 0.0

    async def nudge(self) -> None:
        """Have the outbox emptied after this moment."""
        self._wanted = True
        if self._busy:
            return
        self._busy = True
        try:
            while self._wanted:
                await asyncio.sleep(self._next - time.monotonic())
                self._wanted = False
                await nudge(self._sender)
                self._next = time.monotonic() + NUDGE_EVERY
        finally:
            self._busy = False
