"""Loaders of notifications, their templates, their claims and their A/B tests."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.graphql.loading import ChildKey, Loader, by_window
from subgraphs.kernel.graphql.paging import Page
from subgraphs.notifications import ab_tests, claims, service
from subgraphs.notifications.models import ABTest, ABTestVariant, Claim, Notification, Template


class NotificationById(Loader[UUID, Notification | None]):
    """Notifications by id; None for those that the viewer may not see."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[UUID]
    ) -> list[Notification | None]:
        found = await service.get_many(session, keys)
        return [found.get(key) for key in keys]


class SiteKey(NamedTuple):
    """A page of one site's notifications, of one status or of all."""

    child: ChildKey
    status: str | None


class NotificationsOfSite(Loader[SiteKey, Page[Notification]]):
    """Pages of sites' notifications; one statement for each requested status."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[SiteKey]
    ) -> list[Page[Notification]]:
        pages: dict[SiteKey, Page[Notification]] = {}
        for status in {key.status for key in keys}:
            children = [key.child for key in keys if key.status == status]
            fetch = partial(service.list_for_sites, session, status=status)
            found = await by_window(children, fetch)
            for child, page in zip(children, found, strict=True):
                pages[SiteKey(child, status)] = page
        return [pages[key] for key in keys]


class TemplateById(Loader[UUID, Template]):
    """Templates by id; a viewer that may see a notification may see its template."""

    async def load_all(self, session: AsyncSession, keys: Sequence[UUID]) -> list[Template]:
        found = await service.get_templates(session, keys)
        return [found[key] for key in keys]


class ClaimById(Loader[UUID, Claim | None]):
    """Published claims by id; None for those that the viewer may not see."""

    async def load_all(self, session: AsyncSession, keys: Sequence[UUID]) -> list[Claim | None]:
        found = await claims.get_many(session, keys)
        published = {key: claim for key, claim in found.items() if claim.cursor}
        return [published.get(key) for key in keys]


class ClaimsOfNotification(Loader[ChildKey, Page[Claim]]):
    """Pages of notifications' published claims."""

    async def load_all(self, session: AsyncSession, keys: Sequence[ChildKey]) -> list[Page[Claim]]:
        return await by_window(keys, partial(claims.list_for_notifications, session))


class ABTestById(Loader[UUID, ABTest | None]):
    """A/B tests by id; None for those that the viewer may not see."""

    async def load_all(self, session: AsyncSession, keys: Sequence[UUID]) -> list[ABTest | None]:
        found = await ab_tests.get_many(session, keys)
        return [found.get(key) for key in keys]


class ABTestsOfNotification(Loader[ChildKey, Page[ABTest]]):
    """Pages of notifications' A/B tests."""

    async def load_all(self, session: AsyncSession, keys: Sequence[ChildKey]) -> list[Page[ABTest]]:
        return await by_window(keys, partial(ab_tests.list_for_notifications, session))


class VariantsOfABTest(Loader[UUID, list[ABTestVariant]]):
    """All variants of A/B tests; a viewer that may see a test may see its variants."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[UUID]
    ) -> list[list[ABTestVariant]]:
        found = await ab_tests.list_variants(session, keys)
        return [found.get(key, []) for key in keys]


class VariantById(Loader[UUID, ABTestVariant | None]):
    """Variants by id; None for those that the viewer may not see."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[UUID]
    ) -> list[ABTestVariant | None]:
        found = await ab_tests.get_variants(session, keys)
        return [found.get(key) for key in keys]
