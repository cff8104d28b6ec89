"""Celery as a process, on its own broker, which the tests kill."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from celery import Celery

from subgraphs.kernel import db, jobs, task_names
from subgraphs.kernel.config import settings
from subgraphs.kernel.redis import connect as connect_to
from tests.fixtures.deadline import eventually
from tests.fixtures.processes import Process
from tests.fixtures.valkey import Valkey
from tests.workers.stream.ledgers import rows
from tests.workers.test_inbox import body_of, connect, receive, row
from workers.app import app

pytestmark = pytest.mark.usefixtures("stores")


class RestartedProcess:
    """A Celery process that the test restarts when it ends, as a supervisor does."""

    def __init__(self, *arguments: str, broker: str) -> None:
        module = "workers.beat" if arguments[0] == "beat" else "workers.app"
        self._arguments = ("celery", "-A", module, *arguments)
        self._env = {"CELERY_BROKER_URL": broker}
        self.process = Process(*self._arguments, env=self._env)

    def restart_if_ended(self) -> None:
        if self.process.has_ended:
            self.process.kill()  # closes its output
            self.process = Process(*self._arguments, env=self._env)

    async def said(self, text: str) -> bool:
        return await self.process.said(text)


@pytest.fixture
async def worker(valkey: Valkey) -> AsyncIterator[RestartedProcess]:
    kept = RestartedProcess("worker", "-c", "2", "--without-mingle", broker=valkey.url)
    try:
        await eventually(lambda: kept.said("ready"), bool, seconds=30)
        yield kept
    finally:
        kept.process.kill()


@pytest.fixture
def sender(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """A producer as in a web process: it sends tasks by name only."""
    monkeypatch.setenv("CELERY_BROKER_URL", valkey.url)
    settings.cache_clear()
    yield jobs.producer()
    settings.cache_clear()


def wake(sender: Celery) -> None:
    sender.send_task(task_names.PROCESS_INBOX, queue=task_names.INBOX_QUEUE, retry=False)


async def status(inbox_id: UUID) -> str:
    return (await row(inbox_id))[0]


async def test_webhooks_reach_the_stream_also_after_a_broker_restart(
    worker: RestartedProcess, sender: Celery, valkey: Valkey
) -> None:
    connected = await connect()
    first = await receive(connected, body_of(1))
    wake(sender)
    await eventually(lambda: status(first), lambda found: found == "PROCESSED")

    valkey.kill()
    second = await receive(connected, body_of(2))
    valkey.start()

    # With unacknowledged messages Celery may end instead of reconnecting.
    async def wake_and_read_status() -> str:
        worker.restart_if_ended()
        wake(sender)
        return await status(second)

    await eventually(wake_and_read_status, lambda found: found == "PROCESSED", seconds=30)


async def test_a_message_that_is_not_json_is_rejected(
    worker: RestartedProcess, sender: Celery
) -> None:
    sender.send_task("outbox.send", serializer="pickle")

    await eventually(lambda: worker.said("ContentDisallowed"), bool)


async def test_beat_starts_with_a_damaged_schedule_file(valkey: Valkey, tmp_path: Path) -> None:
    arguments = ("beat", "-s", str(tmp_path / "beat"))
    (tmp_path / "beat").write_bytes(b"damaged")
    (tmp_path / "beat.dat").write_bytes(b"")
    (tmp_path / "beat.dir").write_text("'entries', (0, 500)\n")
    async with connect_to(valkey.url) as broker:
        for _ in range(2):
            beat = RestartedProcess(*arguments, broker=valkey.url)
            try:
                await eventually(lambda: broker.llen("celery"), bool, seconds=30)
            finally:
                beat.process.kill()
            await broker.delete("celery")


def test_every_scheduled_task_is_registered() -> None:
    app.loader.import_default_modules()

    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= app.tasks.keys()


async def test_jobs_of_unknown_tasks_do_not_delay_others(
    worker: RestartedProcess, sender: Celery
) -> None:
    async with db.service_transaction() as session:
        jobs.enqueue(session, f"test.{uuid4().hex}")
        jobs.enqueue(session, task_names.PROCESS_INBOX)
    inbox_id = await receive(await connect(), body_of(3))

    sender.send_task(task_names.SEND_OUTBOX)

    await eventually(lambda: status(inbox_id), lambda found: found == "PROCESSED")
    assert await rows("SELECT 1 FROM outbox") == []
