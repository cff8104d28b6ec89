"""Celery as a process, on a broker of its own that is killed."""

from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import pytest
from celery import Celery

from subgraphs.kernel import db, jobs
from subgraphs.kernel.config import settings
from tests.fixtures.deadline import eventually
from tests.fixtures.processes import Process
from tests.fixtures.valkey import Valkey
from tests.workers.ledgers import rows
from tests.workers.test_inbox import body_of, connect, receive, row
from workers.app import app

pytestmark = pytest.mark.usefixtures("stores")


@pytest.fixture
async def worker(valkey: Valkey) -> AsyncIterator[Process]:
    process = Process(
        *("celery", "-A", "workers.app", "worker", "-c", "2"), env={"CELERY_BROKER_URL": valkey.url}
    )
    try:
        await eventually(lambda: process.said("ready"), bool, seconds=30)
        yield process
    finally:
        process.kill()


@pytest.fixture
def sender(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """As a door has it: it knows tasks by name only."""
    monkeypatch.setenv("CELERY_BROKER_URL", valkey.url)
    settings.cache_clear()
    yield jobs.producer()
    settings.cache_clear()


async def status(inbox_id: UUID) -> str:
    return (await row(inbox_id))[0]


async def test_a_webhook_travels_from_the_outbox_to_the_stream_and_survives_the_broker(
    worker: Process, sender: Celery, valkey: Valkey
) -> None:
    connected = await connect()
    first = await receive(connected, body_of(1))
    await jobs.nudge(sender)
    await eventually(lambda: status(first), lambda found: found == "PROCESSED")

    valkey.kill()
    second = await receive(connected, body_of(2))
    await jobs.nudge(sender)  # goes nowhere, and says so only in the log
    valkey.start()
    await eventually(lambda: worker.said("Connected to redis"), bool, seconds=30)

    async def nudged_until_done() -> str:
        await jobs.nudge(sender)
        return await status(second)

    await eventually(nudged_until_done, lambda found: found == "PROCESSED", seconds=30)


async def test_what_is_not_json_is_not_taken(worker: Process, sender: Celery) -> None:
    sender.send_task("outbox.send", serializer="pickle")

    await eventually(lambda: worker.said("ContentDisallowed"), bool)


def test_beat_knows_every_task_it_sends() -> None:
    app.loader.import_default_modules()

    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= app.tasks.keys()


async def test_jobs_that_nobody_wants_do_not_hold_up_others(
    worker: Process, sender: Celery
) -> None:
    async with db.service_transaction() as session:
        jobs.enqueue(session, f"test.{uuid4().hex}")
    inbox_id = await receive(await connect(), body_of(3))

    await jobs.nudge(sender)

    await eventually(lambda: status(inbox_id), lambda found: found == "PROCESSED")
    assert await rows("SELECT 1 FROM outbox") == []
