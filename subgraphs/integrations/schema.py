"""The integrations subgraph: a table of contents."""

import strawberry

from subgraphs.integrations import resolvers
from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.permissions import IsUser


@strawberry.type
class Query:
    integration = strawberry.field(
        resolver=resolvers.integration,
        permission_classes=[IsUser],
        description="An integration of one of the viewer's sites.",
    )


@strawberry.type
class Mutation:
    connect_shopify = strawberry.mutation(
        resolver=resolvers.connect_shopify,
        permission_classes=[IsUser],
        description="Connect a Shopify shop; the response contains its webhook URL and secret.",
    )


schema = build_schema(query=Query, mutation=Mutation)
