"""`make bench-ledger`: how fast the stream worker takes a stream into the stores, effect once.

In one run and on the same cores: N events of many sites wait in the stream; our worker processes
take them into PostgreSQL (partitioned, indexed) and ClickHouse and acknowledge them. The bound is
asyncpg's `copy_records_to_table` of the same rows into a table of the same partitions and indexes:
nothing decides there what is new, nothing is counted, nothing is told to anybody.

The clock starts when all our processes are at work and takes what is then left. Each round begins
with empty tables and ends with a count of both stores. The last line is JSON.
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
from subgraphs.analytics.ledger import NotificationEvent
from subgraphs.analytics.pipeline.sessionise import read_visitor_events
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
"""A site's claims, which its visitors are shown."""

SEEN_BY_ONE = 10
"""Events of one visitor, in the mean."""

APPENDED_AT_ONCE = 2000

LONGEST = 600
"""Seconds for one run; nothing that is measured here takes so long."""

PEER = "bench_peer"


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ledger", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        only = ("migrate", "valkey")
        async with Stack(state=Path(folder) / "state", port=free_port(), only=only) as stack:
            os.environ.update(stack.env)
            settings.cache_clear()
            owner = await asyncpg.connect(stack.stores["postgres"])
            try:
                bench = Bench(owner, asked.events)
                await bench.prepare(asked.sites)
                await bench.run(asked.rounds)
            finally:
                await owner.close()
                for close in (live, event_streams, clickhouse, redis, db):
                    await close.dispose()


class Bench:
    """The shops, and the figures so far in events a second."""

    def __init__(self, owner: asyncpg.Connection, count: int) -> None:
        self._owner = owner
        self._count = count
        self._claims: list[asyncpg.Record] = []
        self._notifications: dict[UUID, UUID] = {}
        self._figures: dict[str, list[float]] = {"peer": [], "one": [], "two": []}

    async def prepare(self, sites: int) -> None:
        """Open the shops and have their claims made, by the worker."""
        say(f"{sites} sites with {CLAIMS} claims each")
        merchant = await new_owner()
        shops = [await open_shop(merchant) for _ in range(sites)]
        await append([shop.order(number) for shop in shops for number in range(CLAIMS)])
        worker = await started()
        await eventually(left, lambda count: count == 0, seconds=60)
        await worker.terminate()
        self._claims = await self._owner.fetch(
            "SELECT id, account_id, site_id, notification_id FROM claims"
        )
        self._notifications = {claim["id"]: claim["notification_id"] for claim in self._claims}
        await self._make_peer()

    async def run(self, rounds: int) -> None:
        """Run them by turns, and tell."""
        for number in range(1, rounds + 1):
            for name, figure in (
                ("peer", await self._peer()),
                ("one", await self._ours(1)),
                ("two", await self._ours(2)),
            ):
                self._figures[name].append(figure)
                say(f"round {number}: {name:4} {figure:9,.0f} events/s")
        say(json.dumps(self._result()))

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

    async def _ours(self, processes: int) -> float:
        await self._empty()
        await append(self._shown())
        workers = await asyncio.gather(*(started() for _ in range(processes)))
        begun, waiting = time.perf_counter(), await left()
        await eventually(left, lambda count: count == 0, seconds=LONGEST)
        seconds = time.perf_counter() - begun
        for worker in workers:
            await worker.terminate()
        await self._check()
        return waiting / seconds

    async def _peer(self) -> float:
        await self._owner.execute(f"TRUNCATE {PEER}")
        rows = [self._row(event) for event in self._shown()]
        begun = time.perf_counter()
        await self._owner.copy_records_to_table(
            PEER, records=rows, columns=NotificationEvent._fields
        )
        return self._count / (time.perf_counter() - begun)

    def _shown(self) -> list[Event]:
        """New events of this minute: each site's visitors are shown its claims."""
        chance = random.Random(self._count)
        visitors = max(1, self._count * CLAIMS // len(self._claims) // SEEN_BY_ONE)
        now = datetime.now(UTC).replace(microsecond=0)
        events = []
        for _ in range(self._count):
            claim = chance.choice(self._claims)
            events.append(
                Event(
                    id=new_id(),
                    site_id=claim["site_id"],
                    account_id=claim["account_id"],
                    type="claim.shown",
                    occurred_at=now - timedelta(milliseconds=chance.randrange(60_000)),
                    captured_at=now,
                    source="snippet",
                    visitor_id=f"visitor-{chance.randrange(visitors)}",
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

    async def _empty(self) -> None:
        await self._owner.execute(
            "TRUNCATE notification_events; TRUNCATE counters; TRUNCATE visitor_deeds"
        )
        await (await clickhouse.client()).command("TRUNCATE TABLE raw_events")

    async def _check(self) -> None:
        """Each store has every event, once."""
        counted = await (await clickhouse.client()).query("SELECT count() FROM raw_events FINAL")
        journal = await self._owner.fetch("SELECT deeds FROM visitor_deeds")
        found = {
            "rows": await self._owner.fetchval("SELECT count(*) FROM notification_events"),
            "counters": await self._owner.fetchval("SELECT sum(value) FROM counters"),
            "deeds": sum(
                len(site.visitor_events)
                for row in journal
                for site in read_visitor_events(row["deeds"])
            ),
            "clickhouse": counted.result_rows[0][0],
        }
        if wrong := {name: count for name, count in found.items() if count != self._count}:
            raise AssertionError(f"of {self._count} events there are: {wrong}")

    async def _make_peer(self) -> None:
        """A table with the columns, partitions and indexes of `notification_events`."""
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
    for start in range(0, len(events), APPENDED_AT_ONCE):
        records = [
            Record(str(event.site_id), str(event.id), encode(event))
            for event in events[start : start + APPENDED_AT_ONCE]
        ]
        await event_streams.streams().append(EVENTS_TOPIC, records)


async def started() -> Process:
    """A worker that is at work."""
    worker = Process("workers.stream.main")
    await eventually(lambda: worker.said("ready"), bool, seconds=30)
    return worker


async def left() -> int:
    """Entries that are not acknowledged."""
    lag = await event_streams.streams().lag(EVENTS_TOPIC, GROUP)
    return lag.waiting + lag.pending


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
