"""The task `analytics.roll_up`: rolls up the completed hours and days in ClickHouse."""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

import structlog

from subgraphs.analytics.clickhouse import partitions, rollups
from subgraphs.kernel import task_names
from workers.app import app, run
from workers.configuration import TASK_SECONDS

log = structlog.stdlib.get_logger(__name__)

_SECONDS = TASK_SECONDS / 2
"""After this time a task begins no further day; the next task continues."""


@app.task(name=task_names.ROLL_UP)
def roll_up() -> int:
    return run(roll_up_all())


async def roll_up_all() -> int:
    """Roll up the hours that are due, then the days they complete; returns how many hours."""
    until = time.monotonic() + _SECONDS
    rolled = 0
    for hours in _by_day(await rollups.hours_to_roll()):
        if time.monotonic() > until:
            return rolled
        await rollups.roll(hours)
        rolled += len(hours)
        log.info("rolled_up", day=hours[0].date().isoformat(), hours=len(hours))
    for day in await rollups.days_to_roll():
        if time.monotonic() > until:
            break
        await rollups.roll_day(day)
        log.info("rolled_up", day=day.date().isoformat())
    if time.monotonic() < until:
        await partitions.merge_finished()
    return rolled


def _by_day(hours: Iterable[datetime]) -> Iterator[list[datetime]]:
    """The hours grouped by day: one statement for a day costs little more than for one hour."""
    for _, found in groupby(hours, datetime.date):
        yield list(found)
