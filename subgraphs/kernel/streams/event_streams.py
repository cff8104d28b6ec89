"""The process's event streams, of the engine that STREAM_URL names.

await event_streams.streams().append(EVENTS_TOPIC, records)
"""

from functools import lru_cache
from urllib.parse import urlsplit

from subgraphs.kernel import redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.streams.interface import Streams
from subgraphs.kernel.streams.redis.streams import RedisStreams

_MARKS_SECONDS = 1.0
"""How long Redis may take beside Kafka, which works without it."""


def connect(url: str = "", *, seconds: float = redis.ANSWER_SECONDS) -> Streams:
    """Streams of the caller's own, to be closed by it.

    Args:
        url: where; the settings say if it is empty.
        seconds: how long the store may take to answer before it counts as away.
    Raises:
        ValueError: no engine of ours goes by such an address.
    """
    url = url or settings().stream_url or settings().redis_url
    scheme = urlsplit(url).scheme
    if scheme in {"redis", "rediss", "unix"}:
        return RedisStreams(redis.connect(url, seconds=seconds))
    if scheme == "kafka":
        # Its driver is 0.1 s of a start, and most streams are Redis's.
        from subgraphs.kernel.streams.kafka.streams import KafkaStreams

        client = redis.connect(settings().redis_url, seconds=_MARKS_SECONDS)
        return KafkaStreams(urlsplit(url).netloc, client, seconds=seconds)
    raise ValueError(f"STREAM_URL must begin with redis:// or kafka://, not {scheme}://")


@lru_cache(maxsize=1)
def streams() -> Streams:
    """The streams of this process."""
    return connect()


async def ping() -> None:
    """Answer if the store does; raises what the driver raises otherwise."""
    await streams().ping()


async def dispose() -> None:
    """Close them if this process opened them."""
    if streams.cache_info().currsize:
        await streams().close()
        streams.cache_clear()
