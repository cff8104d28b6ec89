"""The outbox on the real PostgreSQL and broker."""

import asyncio
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from subgraphs.kernel import db, jobs
from subgraphs.kernel.config import settings
from subgraphs.kernel.redis import connect
from tests.workers.stream.ledgers import rows
from workers.outbox import send_all

pytestmark = pytest.mark.usefixtures("stores")


async def enqueue(count: int) -> str:
    """Enqueue jobs of a task that nobody runs; returns its unique name."""
    task = f"test.{uuid4().hex}"
    async with db.service_transaction() as session:
        for number in range(count):
            jobs.enqueue(session, task, number=number)
    return task


async def sent(broker: Redis, task: str) -> int:
    """The number of a task's messages in the default queue."""
    return sum(task.encode() in message for message in await broker.lrange("celery", 0, -1))


async def left(task: str) -> int:
    return len(await rows("SELECT id FROM outbox WHERE task = :task", task=task))


async def test_concurrent_senders_send_each_job_once() -> None:
    async with connect(settings().broker_url) as broker:
        task = await enqueue(250)

        await asyncio.gather(send_all(), send_all())

        assert (await sent(broker, task), await left(task)) == (250, 0)


async def test_a_job_of_a_failed_transaction_is_not_sent() -> None:
    task = f"test.{uuid4().hex}"

    async def fail() -> None:
        async with db.service_transaction() as session:
            jobs.enqueue(session, task)
            await session.flush()
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError):
        await fail()
    await send_all()

    async with connect(settings().broker_url) as broker:
        assert (await sent(broker, task), await left(task)) == (0, 0)
