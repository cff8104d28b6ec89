"""The step `publish_claims`: appends new claims to their sites' live channels."""

from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.kernel import live


async def publish_claims(batch: Batch) -> None:
    """Publish the claims that have no cursor yet; set `batch.cursors`.

    The live channel publishes each claim id once, so a repeated batch shows nothing twice.
    """
    new = [claim for claim in batch.made if not claim.is_published]
    messages = [(live.claims_of(claim.site_id), claim.id, claim.message) for claim in new]
    cursors = await live.publish_all(messages)
    batch.cursors = dict(zip((claim.id for claim in new), cursors, strict=True))
