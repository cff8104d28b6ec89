"""Tasks that restore archived events.

    analytics.restore           one restore, as soon as it is requested
    analytics.advance_restores  each minute: restores that wait for S3, and expired ones

`restores` is imported by the first task that needs it, for the reason given in `archive.py`.
"""

import time
from uuid import UUID

from subgraphs.kernel import task_names
from workers.app import app, run
from workers.archive import TURN_SECONDS


@app.task(name=task_names.RESTORE)
def restore(restore_id: str) -> None:
    run(_restore(UUID(restore_id)))


@app.task(name=task_names.ADVANCE_RESTORES)
def advance_restores() -> None:
    run(advance_all())


async def _restore(restore_id: UUID) -> None:
    from subgraphs.analytics.archive import restores

    await restores.advance(restore_id)


async def advance_all(seconds: float = TURN_SECONDS) -> None:
    """Advance the due restores one after the other, while there is time."""
    from subgraphs.analytics.archive import restores

    deadline = time.monotonic() + seconds
    for restore_id in await restores.due():
        if time.monotonic() > deadline:
            break
        await restores.advance(restore_id)
