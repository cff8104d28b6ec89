"""The step `load_claims`: loads the claims that a batch's claim events name.

Recent claims are cached between batches. The cached fields of a claim never change, so nothing
invalidates an entry.
"""

from collections.abc import Collection
from uuid import UUID

from cachetools import LRUCache
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.pipeline.batch import Batch, Claim
from subgraphs.notifications import claims
from workers.stream.make_claims import to_claim

MAX_CLAIMS = 20_000
"""Some 20 MB. Visitors are shown the latest claims again and again."""


class ClaimCache:
    """Claims by the name that claim events give them; the least recently used leave first."""

    def __init__(self, max_claims: int = MAX_CLAIMS) -> None:
        self._claims: LRUCache[str, Claim] = LRUCache(max_claims)

    async def find(self, session: AsyncSession, names: Collection[str]) -> dict[str, Claim]:
        """These claims by name, in at most one statement; names without a claim are absent."""
        found = {name: claim for name in names if (claim := self._claims.get(name))}
        unknown = {name: id_ for name in names if name not in found and (id_ := _to_uuid(name))}
        rows = await claims.get_many(session, set(unknown.values()))
        loaded = {name: to_claim(rows[id_]) for name, id_ in unknown.items() if id_ in rows}
        self._claims.update(loaded)
        return found | loaded


_cache = ClaimCache()


async def load_claims(session: AsyncSession, batch: Batch) -> None:
    """Load the claims that the batch's claim events name."""
    batch.mentioned = await _cache.find(session, batch.claim_names)


def _to_uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
