"""`analytics.export`: a site's events into a file; and a sweep for what was left."""

import time
from uuid import UUID

from subgraphs.analytics.exports import job
from workers.app import ADVANCE_EXPORTS, EXPORT, app, run

TURN_SECONDS = 60.0
"""An export that takes longer goes on in another turn, behind those that came meanwhile."""


@app.task(name=EXPORT)
def export(export_id: str) -> None:
    if run(job.advance(UUID(export_id), time.monotonic() + TURN_SECONDS)):
        app.send_task(EXPORT, kwargs={"export_id": export_id})


@app.task(name=ADVANCE_EXPORTS)
def advance_exports() -> None:
    run(advance_all())


async def advance_all(seconds: float = TURN_SECONDS) -> None:
    """Every export that a killed worker or an outage left, and the files that are over."""
    deadline = time.monotonic() + seconds
    for export_id in await job.due():
        if time.monotonic() > deadline:
            break
        await job.advance(export_id, deadline)
