"""The process's client of Redis."""

from functools import lru_cache

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from subgraphs.kernel.config import settings

ANSWER_SECONDS = 5.0
"""How long the server may take to answer before it counts as away."""


def connect(url: str, *, seconds: float = ANSWER_SECONDS) -> Redis:
    """A client; replies are bytes.

    It tries once more at once: a pooled connection may have died with the server before, and
    `from_url` by itself would hand every such death to a caller.
    """
    return Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 1),
    )


@lru_cache(maxsize=1)
def client() -> Redis:
    """The one client of this process."""
    return connect(settings().redis_url)


async def ping() -> None:
    """Answer if Redis does; raises what the driver raises otherwise."""
    await client().ping()


async def dispose() -> None:
    """Close the client if this process opened it."""
    if client.cache_info().currsize:
        await client().aclose()
        client.cache_clear()
