"""The process's client of Redis."""

from functools import lru_cache

from redis.asyncio import Redis

from subgraphs.kernel.config import settings


@lru_cache(maxsize=1)
def client() -> Redis:
    """The one client of this process; replies are bytes."""
    return Redis.from_url(settings().redis_url)


async def ping() -> None:
    """Answer if Redis does; raises what the driver raises otherwise."""
    await client().ping()


async def dispose() -> None:
    """Close the client if this process opened it."""
    if client.cache_info().currsize:
        await client().aclose()
        client.cache_clear()
