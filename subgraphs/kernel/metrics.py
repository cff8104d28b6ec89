"""Prometheus metrics of a topic and a consumer group, at `/metrics` on the loopback interface.

async with metrics.exposed(EVENTS_TOPIC, group="ledger"):   # does nothing without METRICS_PORT
    ...
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from subgraphs.kernel import cancellation
from subgraphs.kernel.config import settings
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.interface import Lag

log = structlog.stdlib.get_logger(__name__)

REFRESH_SECONDS = 5.0
"""Time between two readings of the streams, however often Prometheus scrapes."""

_GAUGES = (
    ("waiting", "waiting", "Entries not yet delivered to a consumer."),
    ("pending", "pending", "Entries delivered to a consumer and not yet acknowledged."),
    ("dead_letters", "dead_letter_count", "Entries among the dead letters."),
    (
        "oldest_unacknowledged_seconds",
        "age",
        "Seconds since the oldest unacknowledged entry was appended.",
    ),
)
"""Name in Prometheus, field of `Lag`, and help text."""


class StreamCollector(Collector):
    """Reports the last reading of the streams; no samples before the first."""

    def __init__(self, topic: str, group: str) -> None:
        self._topic = topic
        self._group = group
        self._lags: Sequence[Lag] = ()
        self._drops: dict[str, int] = {}

    async def refresh(self) -> None:
        """Reads the lag and the drop counters from the streams."""
        streams = event_streams.streams()
        self._lags = await streams.lags(self._topic, self._group)
        self._drops = await streams.drops(self._topic)

    def collect(self) -> Iterator[Metric]:
        for name, field, help_text in _GAUGES:
            gauge = GaugeMetricFamily(
                f"proofgraph_stream_{name}", help_text, labels=("topic", "group", "partition")
            )
            for partition, lag in enumerate(self._lags):
                labels = (self._topic, self._group, str(partition))
                gauge.add_metric(labels, getattr(lag, field))
            yield gauge
        drops = CounterMetricFamily(
            "proofgraph_stream_drops",
            "Entries that had no effect, by reason.",
            labels=("topic", "reason"),
        )
        for reason, count in sorted(self._drops.items()):
            drops.add_metric((self._topic, reason), count)
        yield drops


@asynccontextmanager
async def exposed(topic: str, group: str) -> AsyncIterator[None]:
    """Serves `/metrics` until the block ends, if METRICS_PORT is set."""
    port = settings().metrics_port
    if not port:
        yield
        return
    collector = StreamCollector(topic, group)
    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    refreshing = asyncio.create_task(_keep_refreshing(collector))
    try:
        yield
    finally:
        await cancellation.cancel_and_wait(refreshing)
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


async def _keep_refreshing(collector: StreamCollector) -> None:
    while True:
        try:
            await collector.refresh()
        except Exception as error:  # the store is unavailable: the last reading stays
            log.debug("stream_metrics_outdated", error=repr(error))
        await asyncio.sleep(REFRESH_SECONDS)
