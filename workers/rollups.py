"""`analytics.roll_up`: the hours that are over, counted and closed."""

import logging

from subgraphs.analytics import store
from workers.app import ROLL_UP, app, run

log = logging.getLogger(__name__)


@app.task(name=ROLL_UP)
def roll_up() -> int:
    return run(roll_up_all())


async def roll_up_all() -> int:
    """Roll every hour that is open and over; answers how many."""
    hours = await store.hours_to_roll()
    for hour in hours:
        await store.roll(hour)
        log.info("rolled up %s", hour.isoformat())
    return len(hours)
