"""What Prometheus may know of a topic and a group, at `/metrics` on loopback.

async with metrics.exposed(EVENTS_TOPIC, group="ledger"):   # does nothing without METRICS_PORT
    ...
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from subgraphs.kernel import cancellation
from subgraphs.kernel.config import settings
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.interface import Lag

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds from one look at the streams to the next, however often somebody asks."""

_GAUGES = (
    ("waiting", "Entries not yet given to a consumer."),
    ("pending", "Entries given to a consumer and not yet acknowledged."),
    ("dead", "Entries among the dead letters."),
    ("age", "Seconds since the oldest entry that is not acknowledged was appended."),
)


class StreamCollector(Collector):
    """The last look at the streams, as metrics; empty until there was one."""

    def __init__(self, topic: str, group: str) -> None:
        self._topic = topic
        self._group = group
        self._lags: Sequence[Lag] = ()
        self._drops: dict[str, int] = {}

    async def look(self) -> None:
        streams = event_streams.streams()
        self._lags = await streams.lags(self._topic, self._group)
        self._drops = await streams.drops(self._topic)

    def collect(self) -> Iterator[Metric]:
        names = {"age": "oldest_unacknowledged_seconds"}
        for field, help_text in _GAUGES:
            name = f"proofgraph_stream_{names.get(field, field)}"
            gauge = GaugeMetricFamily(name, help_text, labels=("topic", "group", "partition"))
            for partition, lag in enumerate(self._lags):
                labels = (self._topic, self._group, str(partition))
                gauge.add_metric(labels, getattr(lag, field))
            yield gauge
        drops = CounterMetricFamily(
            "proofgraph_stream_drops", "Entries without effect.", labels=("topic", "reason")
        )
        for reason, count in sorted(self._drops.items()):
            drops.add_metric((self._topic, reason), count)
        yield drops


@asynccontextmanager
async def exposed(topic: str, group: str) -> AsyncIterator[None]:
    """Answer `/metrics` meanwhile, if a METRICS_PORT is set."""
    port = settings().metrics_port
    if not port:
        yield
        return
    collector = StreamCollector(topic, group)
    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    looking = asyncio.create_task(_keep_looking(collector))
    try:
        yield
    finally:
        await cancellation.cancel_and_wait(looking)
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


async def _keep_looking(collector: StreamCollector) -> None:
    while True:
        try:
            await collector.look()
        except Exception as error:  # the store is away: what was seen last stays
            log.debug("metrics are not current: %r", error)
        await asyncio.sleep(LOOK_EVERY)
