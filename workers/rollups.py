"""`analytics.roll_up`: the hours and days that are over, counted and closed."""

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

from subgraphs.analytics.clickhouse import partitions, rollups
from workers.app import ROLL_UP, TASK_SECONDS, app, run

log = logging.getLogger(__name__)

_SECONDS = TASK_SECONDS / 2
"""After so long a task begins nothing new: what is left is the next one's."""


@app.task(name=ROLL_UP)
def roll_up() -> int:
    return run(roll_up_all())


async def roll_up_all() -> int:
    """Roll every hour that is open and over, then the days they complete; how many hours."""
    until = time.monotonic() + _SECONDS
    rolled = 0
    for hours in _by_day(await rollups.hours_to_roll()):
        if time.monotonic() > until:
            return rolled
        await rollups.roll(hours)
        rolled += len(hours)
        log.info("rolled up %d hours of %s", len(hours), hours[0].date().isoformat())
    for day in await rollups.days_to_roll():
        if time.monotonic() > until:
            break
        await rollups.roll_day(day)
        log.info("rolled up %s", day.date().isoformat())
    if time.monotonic() < until:
        await partitions.merge_finished()
    return rolled


def _by_day(hours: Iterable[datetime]) -> Iterator[list[datetime]]:
    """One statement counts all open hours of a day: it costs little more than one of them."""
    for _, found in groupby(hours, datetime.date):
        yield list(found)
