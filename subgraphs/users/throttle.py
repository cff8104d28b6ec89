"""Rate limits: a fixed window in Redis, shared by all processes."""

from datetime import timedelta
from typing import NamedTuple

from subgraphs.kernel import redis
from subgraphs.kernel.errors import RateLimited


class Limit(NamedTuple):
    """At most `tries` in each window of length `every`."""

    tries: int
    every: timedelta


async def hit(key: str, limit: Limit) -> None:
    """Count one try of a key.

    Raises:
        RateLimited: the key has used its tries in this window.
    """
    name = f"throttle:{key}"
    async with redis.client().pipeline(transaction=True) as pipe:
        pipe.set(name, 0, ex=limit.every, nx=True)
        pipe.incr(name)
        pipe.ttl(name)
        _, tried, seconds = await pipe.execute()
    if tried > limit.tries:
        raise RateLimited(f"Too many tries; retry in {max(seconds, 1)} seconds.")
