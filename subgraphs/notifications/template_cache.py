"""What the sites' notifications say, as the stream worker needs it for every batch: kept in Redis,
and outdated by whoever changes a notification or an A/B test."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import partial
from uuid import UUID

import msgspec
from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.redis.cache import VersionedCache
from subgraphs.notifications.models import ABTest, ABTestVariant, Notification, Template


class Variant(msgspec.Struct, frozen=True):
    """One of the wordings that an A/B test tries."""

    id: UUID
    ab_test_id: UUID
    body: str
    weight: int


class Wording(msgspec.Struct, frozen=True):
    """A notification that is no draft, how it is worded, and the variants where a test runs."""

    notification_id: UUID
    account_id: UUID
    site_id: UUID
    type: str
    status: str
    body: str
    variants: list[Variant]


_cached = VersionedCache("wordings", seconds=60)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Wording]).decode

invalidate = _cached.invalidate
"""To be called with the site's id, after the commit of what changes its notifications or tests."""


async def of_sites(
    session: AsyncSession, site_ids: Collection[UUID]
) -> Mapping[UUID, list[Wording]]:
    """The sites' wordings, the oldest notification first."""
    found = await _cached.get(site_ids, partial(_load, session))
    return {site_id: _decode(data) for site_id, data in found.items()}


async def _load(session: AsyncSession, site_ids: Collection[UUID]) -> dict[UUID, bytes]:
    running = and_(ABTest.notification_id == Notification.id, ABTest.status == "RUNNING")
    statement = (
        select(Notification, Template.body, ABTestVariant)
        .join(Template, Template.id == Notification.template_id)
        .outerjoin(ABTest, running)
        .outerjoin(ABTestVariant, ABTestVariant.ab_test_id == ABTest.id)
        .where(Notification.site_id.in_(site_ids), Notification.status != "DRAFT")
        .order_by(Notification.id, ABTestVariant.position)
    )
    worded: dict[UUID, Wording] = {}
    for row, body, variant in await session.execute(statement):
        wording = worded.setdefault(row.id, _wording(row, body))
        if variant:
            wording.variants.append(_variant(variant))
    of_site: defaultdict[UUID, list[Wording]] = defaultdict(list)
    for wording in worded.values():
        of_site[wording.site_id].append(wording)
    return {site_id: _encode(of_site[site_id]) for site_id in site_ids}


def _wording(row: Notification, body: str) -> Wording:
    return Wording(row.id, row.account_id, row.site_id, row.type, row.status, body, [])


def _variant(row: ABTestVariant) -> Variant:
    return Variant(row.id, row.ab_test_id, row.body, row.weight)
