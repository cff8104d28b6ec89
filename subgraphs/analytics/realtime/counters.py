"""The live counters in Redis: a copy of the ledger's, one hash per site.

Counters only grow, so an older copy that arrives late changes nothing. A lost counter is complete
again with the site's next event, or when `workers/rebuild_counters.py` finds that the marker
`counters:complete` is lost as well.
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from redis.asyncio import Redis

from subgraphs.analytics.ledger import Counted
from subgraphs.kernel.redis.scripts import Call, Script, run

COMPLETE_FOR = timedelta(hours=1)
"""How long the copy counts as complete before it is rebuilt. Redis may have restarted from an older
state, marker included: a site without new events then shows old counters for at most an hour."""

_COMPLETE = "counters:complete"

# KEYS: a site's hash. ARGV: metric and value by turns.
_RAISE = Script("""
for i = 1, #ARGV, 2 do
    local metric, value = ARGV[i], tonumber(ARGV[i + 1])
    if value > tonumber(redis.call('HGET', KEYS[1], metric) or 0) then
        redis.call('HSET', KEYS[1], metric, value)
    end
end
""")


async def raise_to(client: Redis, counters: Iterable[Counted]) -> None:
    """Raise Redis's counters to these values; greater values stay."""
    values: dict[UUID, list[str]] = {}
    for counter in counters:
        values.setdefault(counter.site_id, []).extend((counter.metric, str(counter.value)))
    await run(client, _RAISE, [Call([_key(site_id)], args) for site_id, args in values.items()])


async def read(client: Redis, site_id: UUID) -> dict[str, int]:
    """A site's counters by metric."""
    found = await client.hgetall(_key(site_id))
    return {_text(metric): int(value) for metric, value in found.items()}


async def is_complete(client: Redis) -> bool:
    """Whether no counter was lost since the copy was rebuilt."""
    return bool(await client.exists(_COMPLETE))


async def mark_complete(client: Redis) -> None:
    """Record that the copy was rebuilt."""
    await client.set(_COMPLETE, 1, ex=COMPLETE_FOR)


def _key(site_id: UUID) -> str:
    return f"counters:{site_id}"


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
