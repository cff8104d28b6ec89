"""`python -m workers.stream.main`: the stream worker.

It reads the event stream in batches and runs each batch through the steps (`steps.py`). SIGTERM
finishes the batches in flight. Several stream workers share the stream's partitions.
"""

import asyncio
import gc
import signal
from collections.abc import Sequence
from functools import partial

import structlog
import uvloop

from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.kernel import cancellation, db, metrics, redis
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.retry import retry_while_unavailable
from subgraphs.kernel.storage import clickhouse
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, LEDGER_GROUP
from subgraphs.kernel.streams.interface import Consumer, Entry
from workers.stream.batch_runner import BatchRunner
from workers.stream.steps import STEPS, Steps

log = structlog.stdlib.get_logger(__name__)

GROUP = LEDGER_GROUP

SHUTDOWN_SECONDS = 8.0
"""How long the batches in flight may take to finish after SIGTERM. Unacknowledged entries are
delivered again."""

GC_THRESHOLDS = (200_000, 20, 50)
"""A batch is tens of thousands of short-lived objects without cycles. With Python's default
thresholds the collector walks them again and again, for a third of the worker's time."""


async def work(consumer: Consumer, entries: Sequence[Entry], steps: Steps = STEPS) -> None:
    """Run entries through all steps, then acknowledge them."""
    await BatchRunner(consumer, steps).work(Batch.of(entries))


async def consume(consumer: Consumer, stopping: asyncio.Event) -> None:
    """Run batches until `stopping` is set."""
    # Wait for the stores first: a worker that reads, crashes and restarts counts as a delivery.
    await retry_while_unavailable("postgresql", partial(db.ping, worker=True))
    await retry_while_unavailable("clickhouse", clickhouse.ping)
    await BatchRunner(consumer, STEPS).run(stopping)


async def main() -> None:
    """Run the stream worker until SIGTERM or SIGINT."""
    configure_logging()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    consumer = event_streams.streams().consumer(EVENTS_TOPIC, GROUP)
    running = asyncio.create_task(consume(consumer, stopping))
    stop_requested = asyncio.create_task(stopping.wait())
    async with metrics.exposed(EVENTS_TOPIC, GROUP):
        await asyncio.wait({running, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({running}, timeout=SHUTDOWN_SECONDS)
    if running.done():
        running.result()
    else:
        log.warning("stopped_with_unfinished_batches", reason="a store is unavailable")
        await cancellation.cancel_and_wait(running)
    stop_requested.cancel()
    for close in (event_streams.dispose, clickhouse.dispose, redis.dispose, db.dispose):
        await close()


if __name__ == "__main__":
    uvloop.run(main())
