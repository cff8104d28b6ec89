"""A Redis cache of the sites' notifications with their templates and running A/B tests.

The stream worker reads it for every batch. The mutations invalidate it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import partial
from uuid import UUID

import msgspec
from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.redis.cache import VersionedCache
from subgraphs.notifications.models import ABTest, ABTestVariant, Notification, Template


class CachedVariant(msgspec.Struct, frozen=True):
    """A variant of a running A/B test."""

    id: UUID
    ab_test_id: UUID
    body: str
    weight: int


class CachedNotification(msgspec.Struct, frozen=True):
    """A notification other than a draft: its template's body, and the running test's variants."""

    notification_id: UUID
    account_id: UUID
    site_id: UUID
    type: str
    status: str
    body: str
    variants: list[CachedVariant]


_cached = VersionedCache("templates", seconds=60)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[CachedNotification]).decode

invalidate = _cached.invalidate
"""Invalidate a site's entry. Call it after the commit of a change of a notification or a test."""


async def get_many(
    session: AsyncSession, site_ids: Collection[UUID]
) -> Mapping[UUID, list[CachedNotification]]:
    """Each site's notifications, the oldest first."""
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
    notifications: dict[UUID, CachedNotification] = {}
    for row, body, variant in await session.execute(statement):
        notification = notifications.setdefault(row.id, _notification(row, body))
        if variant:
            notification.variants.append(_variant(variant))
    by_site: defaultdict[UUID, list[CachedNotification]] = defaultdict(list)
    for notification in notifications.values():
        by_site[notification.site_id].append(notification)
    return {site_id: _encode(by_site[site_id]) for site_id in site_ids}


def _notification(row: Notification, body: str) -> CachedNotification:
    return CachedNotification(
        row.id, row.account_id, row.site_id, row.type, row.status, body, variants=[]
    )


def _variant(row: ABTestVariant) -> CachedVariant:
    return CachedVariant(row.id, row.ab_test_id, row.body, row.weight)
