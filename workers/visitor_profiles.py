"""`analytics.fold_visitors`: what visitors did, from the journal into their profiles."""

import time

from subgraphs.analytics.ledger import profiles
from subgraphs.kernel import db
from workers.app import FOLD_VISITORS, TASK_SECONDS, app, run

AT_ONCE = 20
"""Rows of the journal in one transaction: as many batches, a hundred thousand events at most."""

_SECONDS = TASK_SECONDS / 3
"""After so long a task begins nothing new: what is left is the next one's."""


@app.task(name=FOLD_VISITORS)
def fold_visitors() -> int:
    return run(fold_all())


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
