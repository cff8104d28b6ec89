"""The steps `make_claims`, `load_claims` and `store_cursors`: a batch's claims."""

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.kernel import db
from subgraphs.notifications import claim_rendering, claims
from workers.stream.claim_cache import ClaimCache, to_claim

_cache = ClaimCache()


async def make_claims(session: AsyncSession, batch: Batch) -> None:
    """Render and store the claims that the sites' active notifications make of the batch."""
    drafts = await claim_rendering.render_claims(session, batch.source_events)
    batch.made = [to_claim(row) for row in await claims.save_claims(session, drafts)]


async def load_claims(session: AsyncSession, batch: Batch) -> None:
    """Load the claims that the batch's claim events name."""
    batch.mentioned = await _cache.find(session, batch.claim_names)


async def store_cursors(batch: Batch) -> None:
    """Store the cursors of the claims that `publish_claims` has published."""
    if not batch.cursors:
        return
    async with db.service_transaction() as session:
        await claims.set_cursors(session, batch.cursors)
