"""Jobs leave through the outbox: a row in the transaction that wants them, sent after its commit.

A crash between commit and send loses nothing: the sender finds the row later. A crash between send
and delete sends twice: tasks are safe to run twice.
"""

import logging
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


class OutboxJob(Base):
    """A task that must run once its transaction has committed."""

    __tablename__ = "outbox"

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
    app.conf.update(task_serializer="json", accept_content=["json"], task_ignore_result=True)
    return app


async def nudge(sender: Celery) -> None:
    """Have the outbox emptied now. A miss costs a beat's interval, so it is logged, not raised."""
    try:
        await to_thread.run_sync(lambda: sender.send_task(SEND_OUTBOX, retry=False))
    except Exception as error:  # the outbox row is safe: whatever the broker says can wait
        log.warning("could not wake the outbox sender: %s", error)
