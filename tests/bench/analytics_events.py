"""A quarter of events for many sites, made inside ClickHouse and rolled up by our own rollups."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

import clickhouse_connect

from deploy.migrations import clickhouse as tables
from subgraphs.analytics.clickhouse import rollups
from subgraphs.kernel.config import settings
from subgraphs.kernel.storage import clickhouse

AT_ONCE = 2_000_000
"""Events of one INSERT: what the engine makes them from fits into a few hundred MB."""

HOURS_AT_ONCE = 7 * 24
"""Hours of one rollup: a statement reads the month's part of the table, however few it counts."""

OPEN_HOURS = 3
"""Read from raw events, the one that is not over among them."""

REPEATED = 100
"""One event in so many is written twice, as after a worker's death."""

LATE = timedelta(minutes=10)
"""By so much may an event come later than one that happened after it."""

# Of a thousand events. The busiest of 200 sites has some twenty times as many as the quietest. All
# is derived from the number, so that a number written twice is one event. They come in the order of
# their time, by and large, as events do.
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
        toInt64(number / {total:UInt64} * {span:UInt64}) AS told,
        greatest(0, told - toInt64(three % {late:UInt64})) AS passed,
        {start:DateTime64(3, 'UTC')} + toIntervalMillisecond(passed) AS moment
    SELECT
        {sites:Array(UUID)}[site + 1], kind, moment, own,
        if(of_claim, reinterpretAsUUID(toFixedString(concat(toString(site), '-',
                                                            toString(one % 5)), 16)), NULL),
        if(of_claim, own, NULL),
        if(of_claim AND one % 5 = 0, reinterpretAsUUID(toFixedString(
            concat(toString(site), 'v', toString(two % 2)), 16)), NULL),
        concat('/products/', toString(toUInt32(40 * pow((two % 9973) / 9973, 2)))),
        ['mobile', 'mobile', 'desktop', 'tablet'][1 + three % 4],
        ['DE', 'DE', 'DE', 'NL', 'FR', 'US', 'GB', 'ES', 'IT', 'AT', 'CH', ''][1 + one % 12],
        if(converted, 'EUR', ''), if(converted, 500 + toInt64(one % 20000), 0), moment
    FROM numbers({first:UInt64}, {count:UInt64}, {step:UInt64})
"""

_OPEN = """
    INSERT INTO rolled_hours
    SELECT {end:DateTime('UTC')} - toIntervalHour(number + 1), false, 1 FROM numbers({hours:UInt32})
"""


async def fill(
    database: str,
    count: int,
    sites: Sequence[UUID],
    start: datetime,
    end: datetime,
    say: Callable[[str], None],
) -> dict[str, float]:
    """Make a database of its own the process's one, with its events counted but for the last hours.

    Returns:
        Seconds it took to write and to roll them.
    """
    os.environ["CLICKHOUSE_DATABASE"] = database
    settings.cache_clear()
    await clickhouse.dispose()
    client = clickhouse_connect.get_client(dsn=settings().clickhouse_url)
    tables.upgrade(client, database=database, cluster="", raw_retention_days=365)
    client.close()
    begun = time.perf_counter()
    span, late = ((it // timedelta(milliseconds=1)) for it in (end - start, LATE))
    values = {"sites": list(sites), "start": start, "span": span, "late": late, "total": count}
    for first in range(0, count, AT_ONCE):
        some = values | {"first": first, "count": min(AT_ONCE, count - first)}
        for step in (1, REPEATED):
            await (await clickhouse.client()).command(_GENERATE, some | {"step": step})
        say(f"{database}: {min(first + AT_ONCE, count):,} events")
    written = time.perf_counter()
    hours = (end - start) // timedelta(hours=1)
    await (await clickhouse.client()).command(_OPEN, {"end": end, "hours": hours})
    await _roll(say, database)
    rolled = time.perf_counter()
    await _merged()
    return {"write_seconds": round(written - begun, 1), "roll_seconds": round(rolled - written, 1)}


async def _roll(say: Callable[[str], None], database: str) -> None:
    due = iter((await rollups.hours_to_roll())[: 1 - OPEN_HOURS])
    while hours := list(islice(due, HOURS_AT_ONCE)):
        await rollups.roll(hours)
        say(f"{database}: rolled to {hours[-1].isoformat()}")
    for day in await rollups.days_to_roll():
        await rollups.roll_day(day)
    await rollups.settle()


async def _merged() -> None:
    """Wait for the merges that so much writing has left to do; they would be measured too."""
    client = await clickhouse.client()
    for _ in range(120):
        running = await client.query("SELECT count() FROM system.merges")
        if running.result_rows == [(0,)]:
            return
        await asyncio.sleep(0.5)
