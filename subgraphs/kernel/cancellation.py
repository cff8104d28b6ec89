"""Ending a task for certain, though one cancellation can be lost.

`asyncio.wait_for` of Python 3.11, under which redis-py sends, forgets the one that comes in the
same turn as its result (python/cpython#86296). A task that works in a loop would then go on for
ever.
"""

import asyncio
from typing import Any

_AGAIN = 0.2
"""Seconds a task may take to clean up, before it counts as not having heard."""


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and return once they have ended, though we be cancelled meanwhile."""
    interrupted: asyncio.CancelledError | None = None
    running = set(tasks)
    for task in running:
        task.cancel()
    while running:
        try:
            _, running = await asyncio.wait(running, timeout=_AGAIN)
        except asyncio.CancelledError as error:
            interrupted = error
            continue
        for task in running:
            task.cancel()
    if interrupted:
        raise interrupted


def raise_if_cancelled() -> None:
    """End the current task if it was told to: for loops that others cancel, and only once."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
