"""The step `find_claims`: the claims that claim events speak of, remembered between batches.

What is remembered of a claim never changes, so nothing has to be outdated.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.batch import Batch, Claim
from subgraphs.notifications import models
from subgraphs.notifications import service as notifications

MOST = 20_000
"""Claims that are remembered, some 20 MB; visitors are shown the latest ones again and again."""


class KnownClaims:
    """The claims that were asked for last."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._claims: dict[UUID, Claim] = {}

    async def find(self, session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Claim]:
        """These claims; those there are none of are absent."""
        if not ids:
            return {}
        unknown = [id_ for id_ in ids if id_ not in self._claims]
        read = await notifications.claims_by_id(session, unknown)
        found = {id_: self._claims.pop(id_) for id_ in ids if id_ in self._claims}
        found |= {id_: known(row) for id_, row in read.items()}
        self._claims |= found  # at the end of it, with those that were asked for last
        for id_ in list(self._claims)[: max(0, len(self._claims) - self._most)]:
            del self._claims[id_]
        return found


def known(row: models.Claim) -> Claim:
    """A claim as the pipeline needs it."""
    return Claim(
        id=row.id,
        account_id=row.account_id,
        site_id=row.site_id,
        notification_id=row.notification_id,
        text=row.text,
        published_at=row.published_at,
        message=notifications.claim_message(row),
        variant_id=row.variant_id,
    )


_claims = KnownClaims()


async def find_claims(session: AsyncSession, batch: Batch) -> None:
    """The claims that claim events speak of."""
    batch.mentioned = await _claims.find(session, batch.claim_ids)
