"""The analytics subgraph: a table of contents."""

import strawberry

from subgraphs.analytics import resolvers
from subgraphs.analytics.archive import resolvers as archives
from subgraphs.analytics.exports import resolvers as exports
from subgraphs.analytics.types.ab_tests import ABTest
from subgraphs.analytics.types.site import Notification, Site
from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.permissions import IsUser


@strawberry.type
class Query:
    archive = strawberry.field(
        resolver=archives.archive,
        permission_classes=[IsUser],
        description="A site's events of a time that have left the ledger.",
    )
    archive_restore = strawberry.field(
        resolver=archives.archive_restore,
        permission_classes=[IsUser],
        description="An archive on its way back, or there for a while.",
    )
    export = strawberry.field(
        resolver=exports.export,
        permission_classes=[IsUser],
        description="A file of a site's events: how far it is, and where.",
    )


@strawberry.type
class Mutation:
    restore_archive = strawberry.mutation(
        resolver=archives.restore_archive,
        permission_classes=[IsUser],
        description="Have an archive back for some days, for owners and administrators; it takes "
        "hours. One restore of an archive at a time.",
    )
    export_events = strawberry.mutation(
        resolver=exports.export_events,
        permission_classes=[IsUser],
        description="Write a site's events to a file, for owners and administrators: a year at "
        "most, one export of a site at a time.",
    )


@strawberry.type
class Subscription:
    site_activity = strawberry.subscription(
        resolver=resolvers.site_activity,
        permission_classes=[IsUser],
        description="What happens at a site, as it happens; at most two messages a second, however "
        "much it is. `after` goes on from a message's cursor.",
    )


schema = build_schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Site, Notification, ABTest],
)
