"""The GraphQL schema of analytics."""

import strawberry

from subgraphs.analytics import resolvers
from subgraphs.analytics.archive import resolvers as archives
from subgraphs.analytics.exports import resolvers as exports
from subgraphs.analytics.types.ab_tests import ABTest
from subgraphs.analytics.types.notifications import Notification
from subgraphs.analytics.types.site import Site
from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.permissions import IsUser


@strawberry.type
class Query:
    archive = strawberry.field(
        resolver=archives.archive,
        permission_classes=[IsUser],
        description="A site's archived events of one partition of the ledger.",
    )
    archive_restore = strawberry.field(
        resolver=archives.archive_restore,
        permission_classes=[IsUser],
        description="A restore of an archive: its state and, while it is READY, its events.",
    )
    export = strawberry.field(
        resolver=exports.export,
        permission_classes=[IsUser],
        description="An export of a site's events: its state and, once it is READY, its file.",
    )


@strawberry.type
class Mutation:
    restore_archive = strawberry.mutation(
        resolver=archives.restore_archive,
        permission_classes=[IsUser],
        description="Restore an archive for some days; this takes hours. Owners and admins of "
        "the account only. An archive has one restore at a time.",
    )
    export_events = strawberry.mutation(
        resolver=exports.export_events,
        permission_classes=[IsUser],
        description="Export a site's events to a file. Owners and admins of the account only. A "
        "range may span 366 days, and a site has one running export at a time.",
    )


@strawberry.type
class Subscription:
    site_activity = strawberry.subscription(
        resolver=resolvers.site_activity,
        permission_classes=[IsUser],
        description="The activity of a site as it happens, at most two messages a second. Pass "
        "a message's `cursor` as `after` to resume.",
    )


schema = build_schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Site, Notification, ABTest],
)
