"""The step `store_cursors`: stores the live channel's cursors of the published claims."""

from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.kernel import db
from subgraphs.notifications import claims


async def store_cursors(batch: Batch) -> None:
    """Store the cursors of the claims that `publish_claims` has published."""
    if not batch.cursors:
        return
    async with db.service_transaction() as session:
        await claims.set_cursors(session, batch.cursors)
