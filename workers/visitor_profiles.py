"""The task `analytics.fold_visitors`: folds the visitor journal into the visitor profiles."""

import time

from subgraphs.analytics.ledger import profiles
from subgraphs.kernel import db, task_names
from workers.app import app, run
from workers.configuration import TASK_SECONDS

BATCH_SIZE = 20
"""Journal rows in one transaction: each is a batch of the stream worker, so a hundred thousand
events at most."""

_SECONDS = TASK_SECONDS / 3
"""After this time a task begins no further batch; the next task continues."""


@app.task(name=task_names.FOLD_VISITOR_JOURNAL)
def fold_visitor_journal() -> int:
    return run(fold_all())


async def fold_all() -> int:
    """Fold the journal; returns how many rows. Concurrent calls fold different rows."""
    until = time.monotonic() + _SECONDS
    folded = 0
    while time.monotonic() < until:
        async with db.service_transaction() as session:
            rows = await profiles.fold_journal(session, most=BATCH_SIZE)
        folded += rows
        if rows < BATCH_SIZE:
            break
    return folded
