"""The state of all stores for a shop, to compare it as one value."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text

from subgraphs.analytics.clickhouse.counts import get_counts
from subgraphs.analytics.clickhouse.metrics import Granularity
from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.analytics.realtime import counters
from subgraphs.kernel import db, live, redis
from subgraphs.kernel.storage import clickhouse
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import Event, encode
from subgraphs.kernel.streams.interface import Consumer, Entry, Record, Streams
from tests.fixtures.active_shop import ActiveShop
from workers.stream.main import GROUP, work
from workers.stream.steps import STEPS


class State(NamedTuple):
    """Everything that a batch may change."""

    events: int
    """Rows of `events`."""
    notification_events: dict[str, int]
    """Rows of `notification_events`, by type."""
    claims: list[tuple[UUID, str | None]]
    """Claims with their cursors, in the cursors' order."""
    numbers: dict[str, int]
    """ClickHouse's counts."""
    counters: dict[str, int]
    """Redis's counts."""
    live: list[tuple[str, UUID]]
    """The claims in the live channel, with their cursors."""
    activity: int
    """Events published to dashboards; one may be published again after a crash."""


async def state_of(shop: ActiveShop) -> State:
    return State(
        events=len(await rows("SELECT id FROM events WHERE site_id = :site", site=shop.site_id)),
        notification_events=dict(
            await rows(
                "SELECT event_type, count(*) FROM notification_events WHERE site_id = :site"
                " GROUP BY 1",
                site=shop.site_id,
            )
        ),
        claims=sorted(
            await rows("SELECT id, cursor FROM claims WHERE site_id = :site", site=shop.site_id),
            key=lambda row: position_of(row[1]),
        ),
        numbers=await numbers_of(shop),
        counters=await counters.read(redis.client(), shop.site_id),
        live=[(cursor, UUID(id_)) for cursor, id_ in await channel(live.claims_of(shop.site_id))],
        activity=len(await published_events(shop)),
    )


async def rows(statement: str, **values: object) -> list[Any]:
    async with db.worker_engine().connect() as connection:
        return [tuple(row) for row in await connection.execute(text(statement), values)]


async def numbers_of(shop: ActiveShop) -> dict[str, int]:
    """The counts of the days around this one."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = today - timedelta(days=3), today + timedelta(days=2)
    totals: dict[str, int] = {}
    for counts in await get_counts([shop.site_id], start, end, granularity=Granularity.DAY):
        totals[counts.metric] = sum(counts.values)
    return totals


async def raw_rows(shop: ActiveShop) -> int:
    """Rows in ClickHouse, repeated ones included."""
    client = await clickhouse.client()
    statement = "SELECT count() FROM raw_events WHERE site_id = {site:UUID}"
    result = await client.query(statement, {"site": shop.site_id})
    return int(result.result_rows[0][0])


async def channel(name: str) -> list[tuple[str, str]]:
    """(cursor, id) of a live channel's entries."""
    entries: Any = await redis.client().xrange(name)
    return [(cursor.decode(), fields[b"id"].decode()) for cursor, fields in entries]


async def published_events(shop: ActiveShop) -> set[tuple[str, str]]:
    """(type, id) of the events published to dashboards."""
    events = [event for message in await messages_of(shop) for event in message["events"]]
    return {(event["type"], event["id"]) for event in events}


async def messages_of(shop: ActiveShop) -> list[Any]:
    """The messages in the dashboards' channel."""
    entries: Any = await redis.client().xrange(live.activity_of(shop.site_id))
    return [msgspec.json.decode(fields[b"data"]) for _, fields in entries]


def position_of(cursor: str | None) -> tuple[int, ...]:
    return tuple(map(int, cursor.split("-"))) if cursor else ()


async def record(events: Sequence[Event], *, limit: int) -> None:
    """Run events through the reading and recording steps only, in batches of `limit`."""
    for start in range(0, len(events), limit):
        part = events[start : start + limit]
        batch = Batch.of([Entry(f"{n}-0", encode(event), 1) for n, event in enumerate(part)])
        STEPS.read(batch)
        await STEPS.record(batch)


class Stream(NamedTuple):
    """A topic for one test, with a consumer."""

    streams: Streams
    topic: str
    consumer: Consumer

    async def append(self, *events: Event) -> None:
        records = [Record(str(event.site_id), str(event.id), encode(event)) for event in events]
        await self.streams.append(self.topic, records)

    async def drain(self, limit: int = 500) -> None:
        """Process all entries."""
        while entries := await self.consumer.read(limit=limit, wait=0):
            await work(self.consumer, entries)

    async def taken_over(self) -> "Stream":
        """The same topic with another consumer, which gets the unacknowledged entries."""
        await self.consumer.leave()
        return self._replace(consumer=self.streams.consumer(self.topic, GROUP))


async def new_stream() -> Stream:
    streams = event_streams.streams()
    topic = f"test-{uuid4().hex}"
    consumer = streams.consumer(topic, GROUP)
    await consumer.read(limit=1, wait=0)
    return Stream(streams, topic, consumer)


def claim_ids(shop: ActiveShop, orders: Sequence[Event]) -> list[UUID]:
    return [shop.claim_id(order) for order in orders]
