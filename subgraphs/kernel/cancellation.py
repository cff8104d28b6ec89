"""Cancels tasks reliably, although Python 3.11 can lose a cancellation.

`asyncio.wait_for` of Python 3.11 loses a cancellation that arrives in the same turn of the event
loop as its result (python/cpython#86296), and redis-py sends every command under it. A task that
works in a loop would then run for ever.
"""

import asyncio
from typing import Any

_REPEAT_SECONDS = 0.2
"""Time for a task's clean-up before its cancellation counts as lost."""


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks and returns once all have ended, even if the caller is cancelled meanwhile.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile; the tasks have ended.
    """
    interrupted: asyncio.CancelledError | None = None
    running = set(tasks)
    for task in running:
        task.cancel()
    while running:
        try:
            _, running = await asyncio.wait(running, timeout=_REPEAT_SECONDS)
        except asyncio.CancelledError as error:
            interrupted = error
            continue
        for task in running:
            task.cancel()
    if interrupted:
        raise interrupted


def raise_if_cancelled() -> None:
    """Raises CancelledError if the current task was cancelled and the cancellation was lost.

    For loops whose owner cancels them once.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
