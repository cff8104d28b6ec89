"""Generates a quarter of events for many sites inside ClickHouse, and rolls them up."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

import clickhouse_connect

from deploy.migrations import clickhouse as tables
from subgraphs.analytics.clickhouse import partitions, rollups
from subgraphs.kernel.config import settings
from subgraphs.kernel.storage import clickhouse

BATCH_EVENTS = 2_000_000
"""Events of one INSERT; the engine generates them in a few hundred MB."""

BATCH_HOURS = 7 * 24
"""Hours of one rollup; each statement reads the month's whole part of the table."""

OPEN_HOURS = 3
"""Hours that queries count from raw events, the current one included."""

REPEATED = 100
"""One event in this many is written twice, as by a worker that was killed and started again."""

LATE = timedelta(minutes=10)
"""The longest time by which an event is captured after a later event."""

# `chance` is in thousandths. The busiest of 200 sites has about twenty times as many events as the
# quietest. All columns derive from the number, so a number written twice is the same event. Events
# are written roughly in the order of `occurred_at`.
_GENERATE = """
    INSERT INTO raw_events (site_id, metric, occurred_at, id, notification_id, claim_id, variant_id,
                            page, device, country, currency, amount_minor, captured_at)
    WITH
        cityHash64(number, 1) AS one, cityHash64(number, 2) AS two, cityHash64(number, 3) AS three,
        length({sites:Array(UUID)}) AS many,
        toUInt32(many * pow((one % 1000000) / 1000000, 1.5)) AS site,
        two % 1000 AS chance,
        multiIf(chance < 600, 'page_views', chance < 850, 'shown', chance < 910, 'withheld',
                chance < 930, 'clicked', chance < 960, 'dismissed', chance < 975, 'orders',
                chance < 990, 'published', chance < 995, 'converted',
                chance < 998, 'converted_shown', 'converted_held_out') AS kind,
        kind NOT IN ('page_views', 'orders') AS of_claim,
        startsWith(kind, 'converted') AS converted,
        reinterpretAsUUID(concat(reinterpretAsFixedString(one), reinterpretAsFixedString(two)))
            AS own,
        toInt64(number / {total:UInt64} * {span:UInt64}) AS base_time,
        greatest(0, base_time - toInt64(three % {late:UInt64})) AS elapsed,
        {start:DateTime64(3, 'UTC')} + toIntervalMillisecond(elapsed) AS event_time
    SELECT
        {sites:Array(UUID)}[site + 1], kind, event_time, own,
        if(of_claim, reinterpretAsUUID(toFixedString(concat(toString(site), '-',
                                                            toString(one % 5)), 16)), NULL),
        if(of_claim, own, NULL),
        if(of_claim AND one % 5 = 0, reinterpretAsUUID(toFixedString(
            concat(toString(site), 'v', toString(two % 2)), 16)), NULL),
        concat('/products/', toString(toUInt32(40 * pow((two % 9973) / 9973, 2)))),
        ['mobile', 'mobile', 'desktop', 'tablet'][1 + three % 4],
        ['DE', 'DE', 'DE', 'NL', 'FR', 'US', 'GB', 'ES', 'IT', 'AT', 'CH', ''][1 + one % 12],
        if(converted, 'EUR', ''), if(converted, 500 + toInt64(one % 20000), 0), event_time
    FROM numbers({first:UInt64}, {count:UInt64}, {step:UInt64})
"""

_MARK_HOURS = """
    INSERT INTO rolled_hours
    SELECT {end:DateTime('UTC')} - toIntervalHour(number + 1), false, 1 FROM numbers({hours:UInt32})
"""


async def fill(
    database: str,
    count: int,
    sites: Sequence[UUID],
    start: datetime,
    end: datetime,
    print_line: Callable[[str], None],
) -> dict[str, float]:
    """Create a database, select it in this process's settings, and fill it with events.

    All hours but the last `OPEN_HOURS` are rolled up.

    Returns:
        The seconds that writing and rolling up took.
    """
    os.environ["CLICKHOUSE_DATABASE"] = database
    settings.cache_clear()
    await clickhouse.dispose()
    client = clickhouse_connect.get_client(dsn=settings().clickhouse_url)
    tables.upgrade(client, database=database, cluster="", raw_retention_days=365)
    client.close()
    started = time.perf_counter()
    span, late = ((it // timedelta(milliseconds=1)) for it in (end - start, LATE))
    values = {"sites": list(sites), "start": start, "span": span, "late": late, "total": count}
    for first in range(0, count, BATCH_EVENTS):
        batch = values | {"first": first, "count": min(BATCH_EVENTS, count - first)}
        for step in (1, REPEATED):
            await (await clickhouse.client()).command(_GENERATE, batch | {"step": step})
        print_line(f"{database}: {min(first + BATCH_EVENTS, count):,} events")
    written = time.perf_counter()
    hours = (end - start) // timedelta(hours=1)
    await (await clickhouse.client()).command(_MARK_HOURS, {"end": end, "hours": hours})
    await _roll_up(print_line, database)
    rolled_up = time.perf_counter()
    await _wait_for_merges()
    return {
        "write_seconds": round(written - started, 1),
        "roll_seconds": round(rolled_up - written, 1),
    }


async def _roll_up(print_line: Callable[[str], None], database: str) -> None:
    due = iter((await rollups.hours_to_roll())[: 1 - OPEN_HOURS])
    while hours := list(islice(due, BATCH_HOURS)):
        await rollups.roll(hours)
        print_line(f"{database}: rolled up to {hours[-1].isoformat()}")
    for day in await rollups.days_to_roll():
        await rollups.roll_day(day)
    await partitions.merge_finished()


async def _wait_for_merges() -> None:
    """Wait until ClickHouse has merged the new parts, so that merges are not measured."""
    client = await clickhouse.client()
    for _ in range(120):
        running = await client.query("SELECT count() FROM system.merges")
        if running.result_rows == [(0,)]:
            return
        await asyncio.sleep(0.5)
