"""The task `integrations.process_inbox`: turns received webhooks into events of the stream.

The webhook receiver wakes it, and beat runs it every few seconds. One run takes all that waits,
batch by batch, and stays for what comes soon after. A batch is one transaction: it reads webhooks,
appends their events to the stream, and then marks the webhooks. A crash in between appends the same
events again; their ids deduplicate them.

Batches run one at a time, so the events of a site are appended in the order of its webhooks. Live
webhooks come first: backfill runs while no live webhook waits, in small batches, and only while the
stream worker keeps up.
"""

import time
from collections.abc import Iterable, Sequence
from uuid import UUID

import structlog

from subgraphs.integrations import service
from subgraphs.integrations.inbox import store
from subgraphs.integrations.inbox.store import Outcome
from subgraphs.integrations.models import ReceivedWebhook
from subgraphs.kernel import jobs, task_names, worker_pool
from subgraphs.kernel.errors import ProofgraphError
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, LEDGER_GROUP, encode
from subgraphs.kernel.streams.interface import Lag, Record, partition_of
from subgraphs.kernel.worker_pool import Connection
from workers.app import app, run

log = structlog.stdlib.get_logger(__name__)

BATCH_SIZE = 500
"""Live webhooks in one transaction, which takes about 0.1 s."""

BACKFILL_SIZE = 100
"""Webhooks of a backfill in one transaction: a live webhook waits for one batch at most."""

BACKFILL_LAG = 500
"""Events before the stream worker above which backfill waits: a live event queues behind them."""

FULL_PARTITION = 200_000
"""Events of a partition before the stream worker above which its sites' webhooks stay in the inbox:
a stream that grows without bound fills the memory of Redis."""

LAG_SECONDS = 1.0
"""How old a reading of the stream's lag may be for live webhooks."""

TURN_SECONDS = 10.0
"""After this time a run begins no further batch; the next run continues."""

LINGER_SECONDS = 0.25
"""How long a run waits for further webhooks. It occupies a slot of the worker meanwhile."""


@app.task(name=task_names.PROCESS_INBOX)
def process_inbox() -> None:
    if run(process_waiting()):
        app.send_task(task_names.PROCESS_INBOX)


async def process_waiting(seconds: float = TURN_SECONDS) -> bool:
    """Process the webhooks that wait, and those that come meanwhile.

    Returns whether time ran out before the last. The run stays for LINGER_SECONDS after the last
    webhook, unless another run does: while webhooks keep coming, none needs a message of Celery.
    """
    deadline = time.monotonic() + seconds
    await jobs.begin_wake_up(task_names.PROCESS_INBOX)
    if not await jobs.is_listened_to(task_names.PROCESS_INBOX):
        async with jobs.listening(task_names.PROCESS_INBOX) as next_wake_up:
            while not await _process_until(deadline):
                if not await next_wake_up(LINGER_SECONDS):
                    break
    return await _process_until(deadline)


async def _process_until(deadline: float) -> bool:
    """Process what waits; returns whether time ran out before the last."""
    while time.monotonic() < deadline:
        if not await _process_batch():
            return False
        await _stream.update(LAG_SECONDS)
    return True


async def _process_batch() -> bool:
    """Process the next webhooks; returns whether there may be more.

    A run that finds another at work ends. The other one looks again after it has released the lock,
    so it finds what was committed before.
    """
    async with worker_pool.acquire() as connection:
        async with connection.transaction():
            if not await store.lock(connection):
                return False
            webhooks = await _next(connection)
            if webhooks:
                await store.mark(connection, await append_events(webhooks))
        if webhooks:
            return await store.is_waiting(connection)
        return bool(await _next(connection))


async def _next(connection: Connection) -> list[ReceivedWebhook]:
    """Live webhooks, or backfill while there are none and the stream worker keeps up."""
    live = await store.select_waiting(connection, is_backfill=False, most=BATCH_SIZE)
    if any(_stream.is_full(webhook.site_id) for webhook in live):
        await _stream.update(LAG_SECONDS)
        live = [webhook for webhook in live if not _stream.is_full(webhook.site_id)]
    if live:
        return live
    backfill = await store.select_waiting(connection, is_backfill=True, most=BACKFILL_SIZE)
    if backfill:
        await _stream.update(0.0)
    return [] if _stream.waiting > BACKFILL_LAG else backfill


async def append_events(webhooks: Iterable[ReceivedWebhook]) -> list[Outcome]:
    """Append the events of webhooks to the stream; an unreadable webhook is set apart."""
    outcomes, records = [], []
    for webhook in webhooks:
        try:
            events = service.normalise(webhook)
            records += [Record(str(it.site_id), str(it.id), encode(it)) for it in events]
        except Exception as error:
            if not isinstance(error, ProofgraphError):
                log.exception("webhook_rejected", inbox_id=str(webhook.id))
            outcomes.append(Outcome(webhook.id, "REJECTED", _storable(str(error))))
        else:
            outcomes.append(Outcome(webhook.id, "PROCESSED" if events else "IGNORED"))
    await event_streams.streams().append(EVENTS_TOPIC, records)
    return outcomes


def _storable(message: str) -> str:
    """The message as text that PostgreSQL can store, whatever a sender put into it."""
    return message[:500].replace("\x00", "").encode(errors="replace").decode()


class _Stream:
    """How far the stream worker is behind, by the last reading."""

    def __init__(self) -> None:
        self._lags: Sequence[Lag] = ()
        self._read_at = 0.0

    @property
    def waiting(self) -> int:
        """Events that are not acknowledged yet."""
        return sum(lag.waiting + lag.pending for lag in self._lags)

    def is_full(self, site_id: UUID) -> bool:
        """Whether the partition of a site has no room; False before the first reading."""
        if not self._lags:
            return False
        lag = self._lags[partition_of(str(site_id))]
        return lag.waiting + lag.pending >= FULL_PARTITION

    async def update(self, seconds: float) -> None:
        """Read the lag again if the reading is older than this."""
        now = time.monotonic()
        if now - self._read_at >= seconds:
            self._lags = await event_streams.streams().lags(EVENTS_TOPIC, LEDGER_GROUP)
            self._read_at = now


_stream = _Stream()
