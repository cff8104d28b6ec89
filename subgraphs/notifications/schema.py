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
        description="A notification of one of the viewer's sites.",
    )
    ab_test = strawberry.field(
        resolver=resolvers.ab_test,
        permission_classes=[IsUser],
        description="An A/B test of one of the viewer's notifications.",
    )


@strawberry.type
class Mutation:
    create_notification = strawberry.mutation(
        resolver=resolvers.create_notification,
        permission_classes=[IsUser],
        description="Create a notification as a draft; activate it to make claims.",
    )
    activate_notification = strawberry.mutation(
        resolver=resolvers.activate_notification,
        permission_classes=[IsUser],
        description="Make claims of new events from now on.",
    )
    pause_notification = strawberry.mutation(
        resolver=resolvers.pause_notification,
        permission_classes=[IsUser],
        description="Make no claims until the notification is activated again.",
    )
    create_ab_test = strawberry.mutation(
        name="createABTest",
        resolver=resolvers.create_ab_test,
        permission_classes=[IsUser],
        description="Create an A/B test of a notification's template as a draft.",
    )
    start_ab_test = strawberry.mutation(
        name="startABTest",
        resolver=resolvers.start_ab_test,
        permission_classes=[IsUser],
        description="Render each new claim with one of the test's variants from now on.",
    )
    stop_ab_test = strawberry.mutation(
        name="stopABTest",
        resolver=resolvers.stop_ab_test,
        permission_classes=[IsUser],
        description="Render new claims with the notification's template again. "
        "A stopped test cannot start again.",
    )


@strawberry.type
class Subscription:
    live_notifications = strawberry.subscription(
        resolver=resolvers.live_notifications,
        permission_classes=[IsSite],
        description="The site's claims as they are published; with `after`, first the buffered "
        "claims that follow this cursor.",
    )


schema = build_schema(query=Query, mutation=Mutation, subscription=Subscription)
