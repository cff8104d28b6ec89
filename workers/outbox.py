"""The task `outbox.send`: sends the committed jobs of the outbox to Celery's queues."""

from sqlalchemy import delete, select

from subgraphs.kernel import db, task_names
from subgraphs.kernel.jobs import OutboxJob
from workers.app import app, run

BATCH_SIZE = 100
"""Jobs in one transaction; a crash sends at most as many twice."""


@app.task(name=task_names.SEND_OUTBOX)
def send() -> int:
    return run(send_all())


async def send_all() -> int:
    """Send all jobs of the outbox, concurrently with other senders; returns how many."""
    sent = 0
    while batch := await _send_batch():
        sent += batch
    return sent


async def _send_batch() -> int:
    oldest = select(OutboxJob).order_by(OutboxJob.id).limit(BATCH_SIZE)
    async with db.service_transaction() as session:
        jobs = (await session.scalars(oldest.with_for_update(skip_locked=True))).all()
        for job in jobs:
            app.send_task(job.task, kwargs=job.arguments, task_id=str(job.id))
        await session.execute(delete(OutboxJob).where(OutboxJob.id.in_([job.id for job in jobs])))
    return len(jobs)
