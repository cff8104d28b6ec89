"""Subscription of analytics."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import strawberry

from subgraphs.analytics import ledger
from subgraphs.analytics.realtime import activity
from subgraphs.analytics.types.activity import SiteActivity
from subgraphs.kernel import db
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity.tenants import account_of


async def site_activity(
    info: Info, site_id: strawberry.ID, after: str | None = None
) -> AsyncIterator[SiteActivity]:
    """The activity of a site. The session is closed before the first message."""
    site = to_uuid(site_id)
    async with db.read_session(info.context.viewer) as session:
        await account_of(session, site_id=site)
        rows = await ledger.counters(session, [site])
    counters = {counter.metric: counter.value for counter in rows}
    async with aclosing(activity.of_site(site, after, counters)) as messages:
        async for message in messages:
            yield SiteActivity.of(message)
