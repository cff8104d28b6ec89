"""Tasks that export a site's events into a file.

analytics.export           one export, as soon as it is requested
analytics.advance_exports  exports that a killed worker or an outage left, and expired files
"""

import time
from uuid import UUID

from subgraphs.analytics.exports import job
from subgraphs.kernel import task_names
from workers.app import app, run

TURN_SECONDS = 60.0
"""A longer export continues in another turn, behind the exports requested meanwhile."""


@app.task(name=task_names.EXPORT)
def export(export_id: str) -> None:
    if run(job.advance(UUID(export_id), time.monotonic() + TURN_SECONDS)):
        app.send_task(task_names.EXPORT, kwargs={"export_id": export_id})


@app.task(name=task_names.ADVANCE_EXPORTS)
def advance_exports() -> None:
    run(advance_all())


async def advance_all(seconds: float = TURN_SECONDS) -> None:
    """Advance the due exports one after the other, while there is time."""
    deadline = time.monotonic() + seconds
    for export_id in await job.due():
        if time.monotonic() > deadline:
            break
        await job.advance(export_id, deadline)
