"""The process's Redis client."""

from functools import lru_cache

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from subgraphs.kernel.config import settings

ANSWER_SECONDS = 5.0
"""Time in which the server must answer before it counts as unavailable."""


def connect(url: str, *, seconds: float = ANSWER_SECONDS) -> Redis:
    """Returns a new client; its replies are bytes.

    A failed command is retried once without a pause. A pooled connection may have broken when the
    server restarted, and without the retry each broken connection would fail one command.
    """
    return Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 1),
    )


@lru_cache(maxsize=1)
def client() -> Redis:
    """Returns the process's client and creates it at the first call."""
    return connect(settings().redis_url)


async def ping() -> None:
    """Returns once Redis has answered; raises the driver's error if it does not."""
    await client().ping()


async def dispose() -> None:
    """Closes the client if this process opened it."""
    if client.cache_info().currsize:
        await client().aclose()
        client.cache_clear()
