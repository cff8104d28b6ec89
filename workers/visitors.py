"""`analytics.fold_visitors`: what visitors did, from the journal into their profiles; and
`analytics.forget_visitors`: the profiles of those who have not come back."""

import logging
import time
from datetime import UTC, datetime

from subgraphs.analytics import profiles
from subgraphs.kernel import db
from workers.app import FOLD_VISITORS, FORGET_VISITORS, TASK_SECONDS, app, run

log = logging.getLogger(__name__)

AT_ONCE = 20
"""Rows of the journal in one transaction: as many batches, a hundred thousand events at most."""

FORGOTTEN_AT_ONCE = 5000
"""Profiles in one transaction."""

_SECONDS = TASK_SECONDS / 3
"""After so long a task begins nothing new: what is left is the next one's."""


@app.task(name=FOLD_VISITORS)
def fold_visitors() -> int:
    return run(fold_all())


@app.task(name=FORGET_VISITORS)
def forget_visitors() -> int:
    return run(forget_all(datetime.now(UTC)))


async def fold_all() -> int:
    """Fold what has gathered; how many rows. Two at once take different ones."""
    until = time.monotonic() + _SECONDS
    folded = 0
    while time.monotonic() < until:
        async with db.service_transaction() as session:
            taken = await profiles.fold(session, most=AT_ONCE)
        folded += taken
        if taken < AT_ONCE:
            break
    return folded


async def forget_all(now: datetime) -> int:
    """Forget who has not been seen for as long as events are kept; how many."""
    until = time.monotonic() + _SECONDS
    forgotten = 0
    while time.monotonic() < until:
        async with db.service_transaction() as session:
            deleted = await profiles.forget(session, now=now, most=FORGOTTEN_AT_ONCE)
        forgotten += deleted
        if deleted < FORGOTTEN_AT_ONCE:
            break
    if forgotten:
        log.info("forgot %d visitors", forgotten)
    return forgotten
