"""Sends Celery tasks: through the outbox, as a row in the caller's transaction that is sent after
the commit; or as a wake-up for a task that finds its work in PostgreSQL.

A crash between commit and send loses nothing: the sender finds the row later. A crash between send
and delete sends the task twice: tasks are safe to run twice.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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

from subgraphs.kernel import redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.db import Base
from subgraphs.kernel.ids import new_id

log = structlog.stdlib.get_logger(__name__)

WAKE_EXPIRY = 2.0
"""Seconds until an unread wake-up expires. Beat sends one as often."""

WAKE_INTERVAL = 0.02
"""Seconds between two wake-ups of a process, each of which costs some milliseconds in all."""


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


async def begin_wake_up(task: str) -> None:
    """Note that a woken task runs, before it looks for work: later work needs another wake-up."""
    await redis.client().delete(_flag_of(task))


async def is_listened_to(task: str) -> bool:
    """Whether a run of the task listens for wake-ups."""
    ((_, listeners),) = await redis.client().pubsub_numsub(_channel_of(task))
    return bool(listeners)


@asynccontextmanager
async def listening(task: str) -> AsyncIterator[Callable[[float], Awaitable[bool]]]:
    """Receive wake-ups in a task that runs; yields a function that waits for the next one.

    The function takes the seconds to wait, and returns whether a wake-up came. One that came as the
    block ended was received by nobody: the task must look for work once more after the block.
    """
    async with redis.client().pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(_channel_of(task))
        await channel.get_message(timeout=redis.ANSWER_SECONDS)  # the subscription is confirmed

        async def next_wake_up(seconds: float) -> bool:
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                if await channel.get_message(timeout=left):
                    return True
            return False

        yield next_wake_up

        await channel.unsubscribe()
        async with asyncio.timeout(redis.ANSWER_SECONDS):
            while channel.subscribed:  # until Redis confirms that it counts this listener no more
                await channel.get_message(timeout=redis.ANSWER_SECONDS)


class Waker:
    """Runs a task without arguments for one process: the first call at once, a burst rarely.

    A run that still listens is woken over Redis. Otherwise Celery starts one, which costs more than
    many jobs. One such message waits in the queue at most, or one every WAKE_EXPIRY while no worker
    reads it: a flag in Redis stands for the message until the task begins.

    Args:
        task: a task that looks for its work by itself, and that beat runs every few seconds.
        queue: the Celery queue of the task.
    """

    def __init__(self, task: str, *, queue: str) -> None:
        self._sender = producer()
        self._task = task
        self._queue = queue
        self._is_wanted = False
        self._is_running = False
        self._not_before = 0.0

    async def wake(self) -> None:
        """Run the task; it finds all work that was committed before this call."""
        self._is_wanted = True
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._is_wanted:
                await asyncio.sleep(self._not_before - time.monotonic())
                self._is_wanted = False
                self._not_before = time.monotonic() + WAKE_INTERVAL
                await self._send()
        finally:
            self._is_running = False

    async def _send(self) -> None:
        """Send the message; an error is logged and not raised: beat sends another one soon."""

        def send() -> None:
            self._sender.send_task(self._task, queue=self._queue, retry=False, expires=WAKE_EXPIRY)

        try:
            if await redis.client().publish(_channel_of(self._task), b""):
                return
            if await redis.client().set(
                _flag_of(self._task), b"", nx=True, px=int(WAKE_EXPIRY * 1000)
            ):
                await to_thread.run_sync(send)
        except Exception as error:  # any error of the broker: the work is safe in PostgreSQL
            log.warning("wake_up_failed", task=self._task, error=repr(error))


def _flag_of(task: str) -> str:
    return f"wake:{task}"


def _channel_of(task: str) -> str:
    return f"wake-up:{task}"
