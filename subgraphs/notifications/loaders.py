"""Loaders of notifications, their templates, their claims and their A/B tests."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from subgraphs.kernel.graphql.loading import ChildKey, Loader, by_window
from subgraphs.kernel.graphql.paging import Page
from subgraphs.kernel.reads import ReadSession
from subgraphs.notifications import ab_tests, service
from subgraphs.notifications.models import ABTest, ABTestVariant, Claim, Notification, Template


class NotificationById(Loader[UUID, Notification | None]):
    """Notifications by id; None where there is none for the viewer."""

    async def load_all(
        self, session: ReadSession, keys: Sequence[UUID]
    ) -> list[Notification | None]:
        found = await service.get_many(session, keys)
        return [found.get(key) for key in keys]


class SiteKey(NamedTuple):
    """A window of one site's notifications, of one status or of all."""

    child: ChildKey
    status: str | None


class NotificationsOfSite(Loader[SiteKey, Page[Notification]]):
    """Windows of sites' notifications; one statement for each status asked for."""

    async def load_all(
        self, session: ReadSession, keys: Sequence[SiteKey]
    ) -> list[Page[Notification]]:
        pages: dict[SiteKey, Page[Notification]] = {}
        for status in {key.status for key in keys}:
            children = [key.child for key in keys if key.status == status]
            fetch = partial(service.of_sites, session, status=status)
            found = await by_window(children, fetch)
            for child, page in zip(children, found, strict=True):
                pages[SiteKey(child, status)] = page
        return [pages[key] for key in keys]


class TemplateById(Loader[UUID, Template]):
    """Templates by id; whoever sees a notification sees its template."""

    async def load_all(self, session: ReadSession, keys: Sequence[UUID]) -> list[Template]:
        found = await service.templates(session, keys)
        return [found[key] for key in keys]


class ClaimById(Loader[UUID, Claim | None]):
    """Published claims by id; None where there is none for the viewer."""

    async def load_all(self, session: ReadSession, keys: Sequence[UUID]) -> list[Claim | None]:
        found = await service.claims_by_id(session, keys)
        published = {key: claim for key, claim in found.items() if claim.cursor}
        return [published.get(key) for key in keys]


class ClaimsOfNotification(Loader[ChildKey, Page[Claim]]):
    """Windows of notifications' published claims."""

    async def load_all(self, session: ReadSession, keys: Sequence[ChildKey]) -> list[Page[Claim]]:
        return await by_window(keys, partial(service.claims_of, session))


class ABTestById(Loader[UUID, ABTest | None]):
    """A/B tests by id; None where there is none for the viewer."""

    async def load_all(self, session: ReadSession, keys: Sequence[UUID]) -> list[ABTest | None]:
        found = await ab_tests.get_many(session, keys)
        return [found.get(key) for key in keys]


class ABTestsOfNotification(Loader[ChildKey, Page[ABTest]]):
    """Windows of notifications' A/B tests."""

    async def load_all(self, session: ReadSession, keys: Sequence[ChildKey]) -> list[Page[ABTest]]:
        return await by_window(keys, partial(ab_tests.of_notifications, session))


class VariantsOfABTest(Loader[UUID, list[ABTestVariant]]):
    """A/B tests' variants; whoever sees a test sees them all."""

    async def load_all(
        self, session: ReadSession, keys: Sequence[UUID]
    ) -> list[list[ABTestVariant]]:
        found = await ab_tests.variants_of(session, keys)
        return [found.get(key, []) for key in keys]


class VariantById(Loader[UUID, ABTestVariant | None]):
    """Variants by id; None where there is none for the viewer."""

    async def load_all(
        self, session: ReadSession, keys: Sequence[UUID]
    ) -> list[ABTestVariant | None]:
        found = await ab_tests.variants(session, keys)
        return [found.get(key) for key in keys]
