"""Query, Mutation and Subscription of notifications: permission, service, type."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel import db, live
from subgraphs.kernel.errors import NotFound
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity.credentials import site_of_key
from subgraphs.kernel.identity.permissions import may_change
from subgraphs.kernel.identity.tenants import account_of
from subgraphs.notifications import ab_tests, models, service, template_cache
from subgraphs.notifications.ab_tests import NewVariant
from subgraphs.notifications.types import (
    ABTest,
    Claim,
    CreateABTestInput,
    CreateNotificationInput,
    Notification,
)


async def notification(info: Info, id: strawberry.ID) -> Notification | None:
    async with db.read_session(info.context.viewer) as session:
        return Notification.of(await service.get(session, notification_id=to_uuid(id)))


async def create_notification(info: Info, input: CreateNotificationInput) -> Notification:
    viewer = info.context.viewer
    async with db.transaction(viewer) as session:
        site_id = to_uuid(input.site_id)
        account_id = await account_of(session, site_id=site_id)
        may_change(viewer, account_id)
        row = await service.create(
            session,
            account_id=account_id,
            site_id=site_id,
            name=input.name,
            type_=input.type.name,
            body=input.template.body if input.template else None,
            css=input.template.css if input.template else None,
        )
        return Notification.of(row)


async def activate_notification(info: Info, id: strawberry.ID) -> Notification:
    return await _change(info, id, service.activate)


async def pause_notification(info: Info, id: strawberry.ID) -> Notification:
    return await _change(info, id, service.pause)


async def ab_test(info: Info, id: strawberry.ID) -> ABTest | None:
    async with db.read_session(info.context.viewer) as session:
        return ABTest.of(await ab_tests.get(session, test_id=to_uuid(id)))


async def create_ab_test(info: Info, input: CreateABTestInput) -> ABTest:
    viewer = info.context.viewer
    async with db.transaction(viewer) as session:
        tested = await service.get(session, notification_id=to_uuid(input.notification_id))
        may_change(viewer, tested.account_id)
        row = await ab_tests.create(
            session,
            notification=tested,
            name=input.name,
            variants=[
                NewVariant(variant.name, variant.body, variant.weight) for variant in input.variants
            ],
        )
        return ABTest.of(row)


async def start_ab_test(info: Info, id: strawberry.ID) -> ABTest:
    return await _change_test(info, id, ab_tests.start)


async def stop_ab_test(info: Info, id: strawberry.ID) -> ABTest:
    return await _change_test(info, id, ab_tests.stop)


async def live_notifications(
    info: Info, site_key: str, after: str | None = None
) -> AsyncIterator[Claim]:
    async with db.read_session(info.context.viewer) as session:
        site_id = await site_of_key(session, key=site_key)
    if site_id is None or site_id != info.context.viewer.id:
        raise NotFound("No site with this `siteKey`, or the credential belongs to another site.")
    async with aclosing(live.subscribe(live.claims_of(site_id), after)) as entries:
        async for entry in entries:
            yield Claim.of_message(entry.cursor, entry.data)


async def _change(
    info: Info, id: strawberry.ID, change: Callable[[models.Notification], None]
) -> Notification:
    viewer = info.context.viewer
    async with db.transaction(viewer) as session:
        row = await service.get(session, notification_id=to_uuid(id), lock=True)
        may_change(viewer, row.account_id)
        change(row)
    await template_cache.invalidate(row.site_id)
    return Notification.of(row)


async def _change_test(
    info: Info,
    id: strawberry.ID,
    change: Callable[[AsyncSession, models.ABTest], Awaitable[None]],
) -> ABTest:
    viewer = info.context.viewer
    async with db.transaction(viewer) as session:
        row = await ab_tests.get(session, test_id=to_uuid(id), lock=True)
        may_change(viewer, row.account_id)
        await change(session, row)
    await template_cache.invalidate(row.site_id)
    return ABTest.of(row)
