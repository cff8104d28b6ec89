"""Ending a task for certain, though one cancellation can be lost.

`asyncio.wait_for` of Python 3.11, under which redis-py sends, forgets the one that comes in the
same turn as its result (python/cpython#86296). A task that works in a loop would then go on for
ever.
"""

import asyncio
from typing import Any

_AGAIN = 0.1
"""Seconds after which a task that still runs is told once more."""


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and return once they have ended."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_AGAIN)


def heed_cancellation() -> None:
    """End the current task if it was told to: for loops that others cancel, and only once."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
