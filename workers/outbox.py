"""`outbox.send`: the jobs whose transactions have committed, on to Celery's queues."""

from sqlalchemy import delete, select

from subgraphs.kernel import db
from subgraphs.kernel.jobs import SEND_OUTBOX, OutboxJob
from workers.app import app, run

BATCH_SIZE = 100
"""Jobs of one transaction; a crash in the middle sends as many twice at most."""


@app.task(name=SEND_OUTBOX)
def send() -> int:
    return run(send_all())


async def send_all() -> int:
    """Empty the outbox, side by side with other senders; answers how many were sent."""
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
