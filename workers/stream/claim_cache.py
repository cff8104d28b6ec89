"""The step `find_claims`: the claims that claim events speak of, remembered between batches.

What is remembered of a claim never changes, so nothing has to be outdated.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.pipeline.batch import Batch, Claim
from subgraphs.notifications import models
from subgraphs.notifications import service as notifications

MOST = 20_000
"""Claims that are remembered, some 20 MB; visitors are shown the latest ones again and again."""


class KnownClaims:
    """The claims that were asked for last, by the names they were asked for."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._claims: dict[str, Claim] = {}

    async def find(self, session: AsyncSession, names: Collection[str]) -> dict[str, Claim]:
        """These claims; those there are none of are absent."""
        unknown = {name: _id(name) for name in names if name not in self._claims}
        read = await notifications.claims_by_id(session, {id_ for id_ in unknown.values() if id_})
        found = {name: self._claims.pop(name) for name in names if name in self._claims}
        found |= {name: known(read[id_]) for name, id_ in unknown.items() if id_ in read}
        self._claims |= found  # at the end of it, with those that were asked for last
        for name in list(self._claims)[: max(0, len(self._claims) - self._most)]:
            del self._claims[name]
        return found


def _id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


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
        is_published=row.cursor is not None,
    )


_claims = KnownClaims()


async def find_claims(session: AsyncSession, batch: Batch) -> None:
    """The claims that claim events speak of."""
    batch.mentioned = await _claims.find(session, batch.claim_names)
