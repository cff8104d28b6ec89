"""Followers that come and go while the server breaks their subscriptions; then one that stays.

    REDIS_URL=… python -m tests.kernel.streams.churning

A process of its own: what such breaks may leave behind must not meet other tests. Prints "woken"
when the last follower was woken by what was published for it, then "let go" when the server holds
no subscription for those who left.
"""

import asyncio
from contextlib import aclosing, suppress
from typing import Any
from uuid import uuid4

from subgraphs.kernel import cancellation, live, redis
from subgraphs.kernel.live import channel

BREAKS = 100
FOLLOWERS = 5


async def main() -> None:
    channel._LOOK_AGAIN_SECONDS = 3600  # woken or not at all
    await first_of(live.claims_of(uuid4()), seconds=0.1)
    coming = [asyncio.create_task(come_and_go()) for _ in range(FOLLOWERS)]
    for _ in range(BREAKS):
        await redis.client().client_kill_filter(_type="pubsub")
        await asyncio.sleep(0.03)
    leaving = asyncio.create_task(cancellation.cancel_and_wait(*coming))

    name = live.claims_of(uuid4())
    staying = asyncio.create_task(first_of(name, seconds=5))
    await asyncio.sleep(0.5)
    await live.publish(name, uuid4(), {})
    print("woken" if await staying else "left in silence", flush=True)  # noqa: T201  (its answer)
    await leaving
    held: list[Any] = [b""]
    while held:
        await asyncio.sleep(0.1)
        held = await redis.client().pubsub_channels("wake:live:*")
    print("let go")  # noqa: T201


async def come_and_go() -> None:
    while True:
        await first_of(live.claims_of(uuid4()), seconds=0.05)


async def first_of(name: str, *, seconds: float) -> bool:
    """Whether the channel's first entry comes in time."""
    with suppress(Exception):
        async with asyncio.timeout(seconds), aclosing(live.subscribe(name, "0-0")) as entries:
            await anext(entries)
            return True
    return False


if __name__ == "__main__":
    asyncio.run(main())
