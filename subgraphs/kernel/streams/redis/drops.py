"""The drop counters: entries without effect, by reason. Both engines keep them in Redis."""

from redis.asyncio import Redis

from subgraphs.kernel.streams.interface import PARTITIONS
from subgraphs.kernel.streams.redis.names import drops_of


async def drop_counts(client: Redis, topic: str) -> dict[str, int]:
    """Returns a topic's drops by reason, over all partitions."""
    async with client.pipeline(transaction=False) as pipe:
        for partition in range(PARTITIONS):
            pipe.hgetall(drops_of(topic, partition))
        counters = await pipe.execute()
    drops: dict[str, int] = {}
    for reason, count in (item for counter in counters for item in counter.items()):
        drops[reason.decode()] = drops.get(reason.decode(), 0) + int(count)
    return drops
