"""Subscribers come and go while Redis breaks their connections; then one subscriber stays.

    REDIS_URL=… python -m tests.kernel.live.churning

Runs as a process of its own, so that a broken state cannot affect other tests. Prints "woken" when
a message wakes the last subscriber, then "unsubscribed" when Redis holds no other subscription.
"""

import asyncio
from contextlib import aclosing, suppress
from typing import Any
from uuid import uuid4

from subgraphs.kernel import cancellation, live, redis
from subgraphs.kernel.live import channel

BREAKS = 100
SUBSCRIBERS = 5


async def main() -> None:
    channel._POLL_SECONDS = 3600  # only a wake-up makes a subscriber read
    await first_of(live.claims_of(uuid4()), seconds=0.1)
    churn = [asyncio.create_task(come_and_go()) for _ in range(SUBSCRIBERS)]
    for _ in range(BREAKS):
        await redis.client().client_kill_filter(_type="pubsub")
        await asyncio.sleep(0.03)
    leaving = asyncio.create_task(cancellation.cancel_and_wait(*churn))

    name = live.claims_of(uuid4())
    staying = asyncio.create_task(first_of(name, seconds=5))
    await asyncio.sleep(0.5)
    await live.publish(name, uuid4(), {})
    print("woken" if await staying else "not woken", flush=True)  # noqa: T201  (its result)
    await leaving
    held: list[Any] = [b""]
    while held:
        await asyncio.sleep(0.1)
        held = await redis.client().pubsub_channels("wake:live:*")
    print("unsubscribed")  # noqa: T201


async def come_and_go() -> None:
    while True:
        await first_of(live.claims_of(uuid4()), seconds=0.05)


async def first_of(name: str, *, seconds: float) -> bool:
    """Returns whether the channel's first entry arrives in time."""
    with suppress(Exception):
        async with asyncio.timeout(seconds), aclosing(live.subscribe(name, "0-0")) as entries:
            await anext(entries)
            return True
    return False


if __name__ == "__main__":
    asyncio.run(main())
