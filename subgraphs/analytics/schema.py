"""The analytics subgraph: a table of contents."""

import strawberry

from subgraphs.analytics import resolvers
from subgraphs.analytics.types import Site
from subgraphs.kernel.permissions import IsUser
from subgraphs.kernel.schema import build_schema


@strawberry.type
class Subscription:
    site_activity = strawberry.subscription(
        resolver=resolvers.site_activity,
        permission_classes=[IsUser],
        description="What happens at a site, as it happens; at most two messages a second. "
        "`after` goes on from a message's cursor and misses nothing.",
    )


schema = build_schema(subscription=Subscription, types=[Site])
