"""The Prometheus metrics of a topic."""

import httpx
import pytest

from subgraphs.kernel import metrics
from subgraphs.kernel.config import settings
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.interface import Record, partition_of
from tests.fixtures.deadline import eventually
from tests.fixtures.ports import free_port
from tests.fixtures.valkey import Valkey


async def test_lag_age_dead_letters_and_drops_are_metrics(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    await event_streams.dispose()
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.setenv("METRICS_PORT", str(port))
    settings.cache_clear()
    try:
        streams = event_streams.streams()
        await streams.append("t", [Record("site", name, name.encode()) for name in "abcd"])
        consumer = streams.consumer("t", "g")
        first, second = (await consumer.read(limit=2, wait=1))[:2]
        await consumer.ack([first], {first.id: "bot"})
        await consumer.dead_letter(second, "poison", "")
        await consumer.read(limit=1, wait=1)
        async with metrics.exposed("t", "g"), httpx.AsyncClient() as client:

            async def lines() -> list[str]:
                answer = await client.get(f"http://127.0.0.1:{port}/metrics")
                return answer.text.splitlines()

            found = await eventually(lines, lambda lines: any("poison" in line for line in lines))
        await consumer.leave()
    finally:
        await event_streams.dispose()
        monkeypatch.undo()
        settings.cache_clear()
    labels = f'group="g",partition="{partition_of("site")}",topic="t"'
    for line in (
        f"proofgraph_stream_waiting{{{labels}}} 1.0",
        f"proofgraph_stream_pending{{{labels}}} 1.0",
        f"proofgraph_stream_dead_letters{{{labels}}} 1.0",
        'proofgraph_stream_drops_total{reason="bot",topic="t"} 1.0',
        'proofgraph_stream_drops_total{reason="poison",topic="t"} 1.0',
    ):
        assert line in found
    (age,) = (line for line in found if f"oldest_unacknowledged_seconds{{{labels}}}" in line)
    assert 0 < float(age.split()[-1]) < 30
