"""The step `make_claims`: renders and stores the claims that a batch gives rise to."""

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.pipeline.batch import Batch, Claim
from subgraphs.notifications import claim_rendering, claims, models


async def make_claims(session: AsyncSession, batch: Batch) -> None:
    """Make the claims of the sites' active notifications; a repeated batch gets the stored ones."""
    drafts = await claim_rendering.render_claims(session, batch.source_events)
    batch.made = [to_claim(row) for row in await claims.save_claims(session, drafts)]


def to_claim(row: models.Claim) -> Claim:
    """A stored claim as the pipeline uses it."""
    return Claim(
        id=row.id,
        account_id=row.account_id,
        site_id=row.site_id,
        notification_id=row.notification_id,
        text=row.text,
        published_at=row.published_at,
        message=claims.claim_message(row),
        variant_id=row.variant_id,
        is_published=row.cursor is not None,
    )
