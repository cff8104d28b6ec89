"""Tasks of the archive.

    analytics.archive           once a day: begin to archive the partitions past their retention
    analytics.advance_archives  each minute: advance the begun archives as far as a turn allows

PostgreSQL lists what is still to do. Each turn does what its time allows and leaves the rest to the
next.

`lifecycle` is imported by the first task that needs it. It loads the Parquet library, and all
workers know these tasks: each would start a quarter of a second later.
"""

import time

from subgraphs.kernel import task_names
from workers.app import app, run

TURN_SECONDS = 45.0
"""After this time a turn begins no further step. The longest step, staging, ends by itself after 40
seconds, so a turn stays below TASK_SECONDS."""


@app.task(name=task_names.ARCHIVE)
def archive() -> int:
    return run(_plan())


@app.task(name=task_names.ADVANCE_ARCHIVES)
def advance_archives() -> None:
    run(advance_all())


async def _plan() -> int:
    from subgraphs.analytics.archive import planning

    return await planning.plan()


async def advance_all(seconds: float = TURN_SECONDS) -> None:
    """Advance the due partitions one after the other, while there is time."""
    from subgraphs.analytics.archive import lifecycle

    deadline = time.monotonic() + seconds
    for table, partition in await lifecycle.due():
        if time.monotonic() > deadline:
            break
        await lifecycle.advance(table, partition, deadline)
