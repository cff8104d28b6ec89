"""The notifications subgraph: a table of contents."""

import strawberry

from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.permissions import IsSite, IsUser
from subgraphs.notifications import resolvers


@strawberry.type
class Query:
    notification = strawberry.field(
        resolver=resolvers.notification,
        permission_classes=[IsUser],
        description="One notification of the viewer's.",
    )
    ab_test = strawberry.field(
        resolver=resolvers.ab_test,
        permission_classes=[IsUser],
        description="One A/B test of the viewer's.",
    )


@strawberry.type
class Mutation:
    create_notification = strawberry.mutation(
        resolver=resolvers.create_notification,
        permission_classes=[IsUser],
        description="Draft a notification; without a template it gets the usual wording.",
    )
    activate_notification = strawberry.mutation(
        resolver=resolvers.activate_notification,
        permission_classes=[IsUser],
        description="Show it from now on.",
    )
    pause_notification = strawberry.mutation(
        resolver=resolvers.pause_notification,
        permission_classes=[IsUser],
        description="Make no claims of it until it is activated again.",
    )
    create_ab_test = strawberry.mutation(
        name="createABTest",
        resolver=resolvers.create_ab_test,
        permission_classes=[IsUser],
        description="Draft an A/B test of a notification's wording.",
    )
    start_ab_test = strawberry.mutation(
        name="startABTest",
        resolver=resolvers.start_ab_test,
        permission_classes=[IsUser],
        description="Word each new claim by one of its variants, from now on.",
    )
    stop_ab_test = strawberry.mutation(
        name="stopABTest",
        resolver=resolvers.stop_ab_test,
        permission_classes=[IsUser],
        description="Word new claims by the notification's template again; this is for good.",
    )


@strawberry.type
class Subscription:
    live_notifications = strawberry.subscription(
        resolver=resolvers.live_notifications,
        permission_classes=[IsSite],
        description="A site's claims as they are published; `after` resumes behind a cursor.",
    )


schema = build_schema(query=Query, mutation=Mutation, subscription=Subscription)
