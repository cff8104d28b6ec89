"""The archive's tasks, on a queue of their own.

    analytics.archive           once a day: begin units for what is past its retention
    analytics.advance_archives  each minute: take what is begun as far as a turn allows
    analytics.restore           one restore, as soon as it is asked for
    analytics.advance_restores  each minute: those that S3 was asked for, and those that are over

What is still to be done stands in PostgreSQL; each turn does what it can in its time and leaves the
rest to the next.

Parquet is loaded by the first turn that needs it: the workers of all queues know these tasks, and
each would start a quarter of a second later.
"""

import time
from uuid import UUID

from workers.app import ADVANCE_ARCHIVES, ADVANCE_RESTORES, ARCHIVE, RESTORE, app, run

TURN_SECONDS = 45.0
"""After so long no further step is begun. The longest step, staging, ends itself after 40 seconds
and what it has in hand, so that a turn stays below TASK_SECONDS."""


@app.task(name=ARCHIVE)
def archive() -> int:
    return run(_plan())


@app.task(name=ADVANCE_ARCHIVES)
def advance_archives() -> None:
    run(advance_all())


@app.task(name=RESTORE)
def restore(restore_id: str) -> None:
    run(_restore(UUID(restore_id)))


@app.task(name=ADVANCE_RESTORES)
def advance_restores() -> None:
    run(advance_all_restores())


async def _plan() -> int:
    from subgraphs.analytics.archive import planning

    return await planning.plan()


async def _restore(restore_id: UUID) -> None:
    from subgraphs.analytics.archive import restores

    await restores.advance(restore_id)


async def advance_all(seconds: float = TURN_SECONDS) -> None:
    """Every partition that is due, one after the other, while there is time."""
    from subgraphs.analytics.archive import lifecycle

    deadline = time.monotonic() + seconds
    for table, partition in await lifecycle.due():
        if time.monotonic() > deadline:
            break
        await lifecycle.advance(table, partition, deadline)


async def advance_all_restores(seconds: float = TURN_SECONDS) -> None:
    from subgraphs.analytics.archive import restores

    deadline = time.monotonic() + seconds
    for restore_id in await restores.due():
        if time.monotonic() > deadline:
            break
        await restores.advance(restore_id)
