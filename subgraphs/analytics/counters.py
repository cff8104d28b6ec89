"""The live counters in Redis: a copy of the ledger's, one hash a site.

They only grow, so an older copy that arrives late changes nothing, and one that was lost is whole
again with the site's next event.
"""

from collections.abc import Iterable
from uuid import UUID

from redis.asyncio import Redis

from subgraphs.analytics.ledger import Counted

# KEYS: one hash a counter. ARGV: metric and value by turns.
_RAISE = """
for i, key in ipairs(KEYS) do
    local metric, value = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
    if value > tonumber(redis.call('HGET', key, metric) or 0) then
        redis.call('HSET', key, metric, value)
    end
end
"""


async def show(client: Redis, counters: Iterable[Counted]) -> None:
    """Raise the shown counters to the ledger's."""
    keys, args = [], []
    for counter in counters:
        keys.append(_key(counter.site_id))
        args += [counter.metric, str(counter.value)]
    if keys:
        await client.register_script(_RAISE)(keys=keys, args=args)


async def shown(client: Redis, site_id: UUID) -> dict[str, int]:
    """A site's counters by metric."""
    found = await client.hgetall(_key(site_id))
    return {_text(metric): int(value) for metric, value in found.items()}


def _key(site_id: UUID) -> str:
    return f"counters:{site_id}"


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
