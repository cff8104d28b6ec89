"""Cancelling tasks."""

import asyncio

from subgraphs.kernel import cancellation


async def test_a_task_that_lost_its_cancellation_is_cancelled_again() -> None:
    began = asyncio.Event()
    lost = 0

    async def lose_one_cancellation() -> None:
        nonlocal lost
        try:
            began.set()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            lost += 1
        await asyncio.sleep(3600)

    task = asyncio.create_task(lose_one_cancellation())
    await began.wait()
    await cancellation.cancel_and_wait(task)

    assert (task.cancelled(), lost) == (True, 1)


async def test_finished_tasks_keep_their_outcomes() -> None:
    async def failing() -> None:
        raise ValueError("its own")

    done, failed = asyncio.create_task(asyncio.sleep(0, 7)), asyncio.create_task(failing())
    await asyncio.wait({done, failed})
    await cancellation.cancel_and_wait(done, failed)

    assert done.result() == 7
    assert repr(failed.exception()) == "ValueError('its own')"


async def test_a_caller_that_is_cancelled_still_waits_for_the_tasks() -> None:
    ended = []

    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)
            ended.append("inner")

    async def outer() -> None:
        inner = asyncio.create_task(slow_to_end())
        try:
            await asyncio.sleep(3600)
        finally:
            await cancellation.cancel_and_wait(inner)
            ended.append("outer")

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await cancellation.cancel_and_wait(task)

    assert ended == ["inner"]
    assert task.cancelled()
