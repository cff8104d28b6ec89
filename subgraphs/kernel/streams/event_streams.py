"""The process's event streams, on the engine that STREAM_URL names.

await event_streams.streams().append(EVENTS_TOPIC, records)
"""

from functools import lru_cache
from urllib.parse import urlsplit

from subgraphs.kernel import redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.streams.interface import Streams
from subgraphs.kernel.streams.redis.streams import RedisStreams

_DEDUPE_TIMEOUT_SECONDS = 1.0
"""Timeout for Redis beside Kafka, which works without it."""


def connect(url: str = "", *, seconds: float = redis.ANSWER_SECONDS) -> Streams:
    """Returns new streams; the caller closes them.

    Args:
        url: address of the store; STREAM_URL or else REDIS_URL if empty.
        seconds: time in which the store must answer before it counts as unavailable.

    Raises:
        ValueError: the scheme is neither Redis's nor Kafka's.
    """
    url = url or settings().stream_url or settings().redis_url
    scheme = urlsplit(url).scheme
    if scheme in {"redis", "rediss", "unix"}:
        return RedisStreams(redis.connect(url, seconds=seconds))
    if scheme == "kafka":
        # Importing aiokafka takes 0.1 s of the start, and most installations stream over Redis.
        from subgraphs.kernel.streams.kafka.streams import KafkaStreams

        client = redis.connect(settings().redis_url, seconds=_DEDUPE_TIMEOUT_SECONDS)
        return KafkaStreams(urlsplit(url).netloc, client, seconds=seconds)
    raise ValueError(
        f"STREAM_URL has the scheme {scheme}://; use redis://, rediss://, unix:// or kafka://."
    )


@lru_cache(maxsize=1)
def streams() -> Streams:
    """Returns the streams of this process and connects them at the first call."""
    return connect()


async def ping() -> None:
    """Returns once the store has answered; raises the driver's error if it does not."""
    await streams().ping()


async def dispose() -> None:
    """Closes the streams if this process opened them."""
    if streams.cache_info().currsize:
        await streams().close()
        streams.cache_clear()
