"""The live counters in Redis: a copy of the ledger's, one hash a site.

They only grow, so an older copy that arrives late changes nothing, and one that was lost is whole
again with the site's next event, or when `workers/rebuild_counters.py` finds
that the marker is gone too.
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from redis.asyncio import Redis

from subgraphs.analytics.ledger import Counted
from subgraphs.kernel.redis.scripts import Call, Script, run

WHOLE_FOR = timedelta(hours=1)
"""How long the copy is believed to be whole before it is made again. Redis may have come back from
an older state, marker included; an hour is what a site without new events then waits at most."""

_WHOLE = "counters:whole"

# KEYS: one hash a counter. ARGV: metric and value by turns.
_RAISE = Script("""
for i, key in ipairs(KEYS) do
    local metric, value = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
    if value > tonumber(redis.call('HGET', key, metric) or 0) then
        redis.call('HSET', key, metric, value)
    end
end
""")


async def show(client: Redis, counters: Iterable[Counted]) -> None:
    """Raise the shown counters to the ledger's."""
    keys, args = [], []
    for counter in counters:
        keys.append(_key(counter.site_id))
        args += [counter.metric, str(counter.value)]
    if keys:
        await run(client, _RAISE, [Call(keys, args)])


async def shown(client: Redis, site_id: UUID) -> dict[str, int]:
    """A site's counters by metric."""
    found = await client.hgetall(_key(site_id))
    return {_text(metric): int(value) for metric, value in found.items()}


async def whole(client: Redis) -> bool:
    """Whether nothing was lost since the copy was last made."""
    return bool(await client.exists(_WHOLE))


async def mark_whole(client: Redis) -> None:
    """Say that the copy was made anew."""
    await client.set(_WHOLE, 1, ex=WHOLE_FOR)


def _key(site_id: UUID) -> str:
    return f"counters:{site_id}"


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
