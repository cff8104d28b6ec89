"""`make bench-ledger`: how fast the stream worker writes a stream into the stores, exactly once.

N events of many sites wait in the stream. Our worker processes write them to PostgreSQL
(partitioned, indexed) and ClickHouse, and acknowledge them. In the same run and on the same cores,
the peer is asyncpg's `copy_records_to_table` of the same rows into a table with the same partitions
and indexes. The peer does not deduplicate, count or publish anything, so it is an upper bound.

A measurement starts when all workers are ready, and counts the events that are unacknowledged then.
Each round begins with empty tables and ends with a count of both stores. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from deploy.local.stack.stack import Stack
from subgraphs.analytics.ledger import NotificationEvent, visitor_journal
from subgraphs.kernel import db, live, redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import clickhouse
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, Event, encode
from subgraphs.kernel.streams.interface import Record
from tests.fixtures.active_shop import new_owner, open_shop
from tests.fixtures.deadline import eventually
from tests.fixtures.ports import free_port
from tests.fixtures.processes import Process
from workers.stream.main import GROUP

CLAIMS = 5
"""Claims per site, shown to its visitors."""

EVENTS_PER_VISITOR = 10
"""On average."""

APPEND_SIZE = 2000

RUN_SECONDS = 600
"""Time limit of one run."""

PEER = "bench_peer"


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ledger", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="events of one measurement")
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        only = ("migrate", "valkey")
        async with Stack(state=Path(folder) / "state", port=free_port(), only=only) as stack:
            os.environ.update(stack.env)
            settings.cache_clear()
            owner = await asyncpg.connect(stack.stores["postgres"])
            try:
                bench = Benchmark(owner, options.events)
                await bench.prepare(options.sites)
                await bench.run(options.rounds)
            finally:
                await owner.close()
                for module in (live, event_streams, clickhouse, redis, db):
                    await module.dispose()


class Benchmark:
    """One run: its shops, and the measured events per second."""

    def __init__(self, owner: asyncpg.Connection, count: int) -> None:
        self._owner = owner
        self._count = count
        self._claims: list[asyncpg.Record] = []
        self._notifications: dict[UUID, UUID] = {}
        self._figures: dict[str, list[float]] = {"peer": [], "one": [], "two": []}

    async def prepare(self, sites: int) -> None:
        """Create the shops, and run a worker that publishes their claims."""
        print_line(f"{sites} sites with {CLAIMS} claims each")
        merchant = await new_owner()
        shops = [await open_shop(merchant) for _ in range(sites)]
        await append([shop.order(number) for shop in shops for number in range(CLAIMS)])
        worker = await start_worker()
        await eventually(unacknowledged, lambda count: count == 0, seconds=60)
        await worker.terminate()
        self._claims = await self._owner.fetch(
            "SELECT id, account_id, site_id, notification_id FROM claims"
        )
        self._notifications = {claim["id"]: claim["notification_id"] for claim in self._claims}
        await self._create_peer_table()

    async def run(self, rounds: int) -> None:
        """Measure the peer, one worker and two workers in each round; print the result."""
        for number in range(1, rounds + 1):
            for name, figure in (
                ("peer", await self._measure_peer()),
                ("one", await self._measure_workers(1)),
                ("two", await self._measure_workers(2)),
            ):
                self._figures[name].append(figure)
                print_line(f"round {number}: {name:4} {figure:9,.0f} events/s")
        print_line(json.dumps(self._result()))

    def _result(self) -> dict[str, Any]:
        medians = {name: statistics.median(found) for name, found in self._figures.items()}
        return {
            "bench": "ledger",
            "cores": len(os.sched_getaffinity(0)),
            "events": self._count,
            "per_second": {
                name: {"median": round(medians[name]), "all": [round(each) for each in found]}
                for name, found in self._figures.items()
            },
            "ratio_one_process": round(medians["one"] / medians["peer"], 3),
            "ratio_two_processes": round(medians["two"] / medians["peer"], 3),
        }

    async def _measure_workers(self, processes: int) -> float:
        await self._truncate_stores()
        await append(self._new_events())
        workers = await asyncio.gather(*(start_worker() for _ in range(processes)))
        started, count = time.perf_counter(), await unacknowledged()
        await eventually(unacknowledged, lambda count: count == 0, seconds=RUN_SECONDS)
        seconds = time.perf_counter() - started
        for worker in workers:
            await worker.terminate()
        await self._check_counts()
        return count / seconds

    async def _measure_peer(self) -> float:
        await self._owner.execute(f"TRUNCATE {PEER}")
        rows = [self._row(event) for event in self._new_events()]
        started = time.perf_counter()
        await self._owner.copy_records_to_table(
            PEER, records=rows, columns=NotificationEvent._fields
        )
        return self._count / (time.perf_counter() - started)

    def _new_events(self) -> list[Event]:
        """New events of this minute: each site's visitors are shown its claims."""
        rng = random.Random(self._count)
        visitors = max(1, self._count * CLAIMS // len(self._claims) // EVENTS_PER_VISITOR)
        now = datetime.now(UTC).replace(microsecond=0)
        events = []
        for _ in range(self._count):
            claim = rng.choice(self._claims)
            events.append(
                Event(
                    id=new_id(),
                    site_id=claim["site_id"],
                    account_id=claim["account_id"],
                    type="claim.shown",
                    occurred_at=now - timedelta(milliseconds=rng.randrange(60_000)),
                    captured_at=now,
                    source="snippet",
                    visitor_id=f"visitor-{rng.randrange(visitors)}",
                    payload={"claimId": str(claim["id"]), "page": "/red", "device": "mobile"},
                )
            )
        return events

    def _row(self, event: Event) -> NotificationEvent:
        claim_id = UUID(event.payload["claimId"])
        return NotificationEvent(
            created_at=event.occurred_at,
            id=event.id,
            account_id=event.account_id,
            site_id=event.site_id,
            notification_id=self._notifications[claim_id],
            claim_id=claim_id,
            event_type="shown",
            captured_at=event.captured_at,
            visitor_id=event.visitor_id,
            page=event.payload["page"],
            device=event.payload["device"],
        )

    async def _truncate_stores(self) -> None:
        await self._owner.execute(
            "TRUNCATE notification_events; TRUNCATE counters; TRUNCATE visitor_event_journal"
        )
        await (await clickhouse.client()).command("TRUNCATE TABLE raw_events")

    async def _check_counts(self) -> None:
        """Check that each store has every event once."""
        raw_events = await (await clickhouse.client()).query("SELECT count() FROM raw_events FINAL")
        journal = await self._owner.fetch("SELECT events FROM visitor_event_journal")
        found = {
            "rows": await self._owner.fetchval("SELECT count(*) FROM notification_events"),
            "counters": await self._owner.fetchval("SELECT sum(value) FROM counters"),
            "visitor events": sum(
                len(site.visitor_events)
                for row in journal
                for site in visitor_journal.decode(row["events"])
            ),
            "clickhouse": raw_events.result_rows[0][0],
        }
        if wrong := {name: count for name, count in found.items() if count != self._count}:
            raise AssertionError(f"each store must have {self._count} events, but found: {wrong}")

    async def _create_peer_table(self) -> None:
        """Create a table with the columns, partitions and indexes of `notification_events`."""
        (month,) = [
            name
            for name, start, end in await self._owner.fetch(
                "SELECT * FROM partitions_of('notification_events')"
            )
            if start <= datetime.now(UTC) < end
        ]
        await self._owner.execute(f"""
            CREATE TABLE {PEER} (LIKE notification_events INCLUDING ALL)
                PARTITION BY RANGE (created_at);
            CREATE TABLE {PEER}_month PARTITION OF {PEER}
                FOR VALUES FROM (MINVALUE) TO (MAXVALUE) PARTITION BY HASH (site_id);
        """)
        for part in range(8):
            await self._owner.execute(f"""
                CREATE TABLE {PEER}_{part} PARTITION OF {PEER}_month
                FOR VALUES WITH (MODULUS 8, REMAINDER {part})
            """)
        indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = $1"
        assert await self._owner.fetchval(indexes, f"{PEER}_0") == await self._owner.fetchval(
            indexes, f"{month}_0"
        )


async def append(events: Sequence[Event]) -> None:
    for start in range(0, len(events), APPEND_SIZE):
        records = [
            Record(str(event.site_id), str(event.id), encode(event))
            for event in events[start : start + APPEND_SIZE]
        ]
        await event_streams.streams().append(EVENTS_TOPIC, records)


async def start_worker() -> Process:
    """Start a stream worker and wait until it is ready."""
    worker = Process("workers.stream.main")
    await eventually(lambda: worker.said("ready"), bool, seconds=30)
    return worker


async def unacknowledged() -> int:
    """The number of unacknowledged entries."""
    lag = await event_streams.streams().lag(EVENTS_TOPIC, GROUP)
    return lag.waiting + lag.pending


def print_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
