"""The sites subgraph: a table of contents."""

import strawberry

from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.permissions import IsUser
from subgraphs.sites import resolvers


@strawberry.type
class Query:
    site = strawberry.field(
        resolver=resolvers.site,
        permission_classes=[IsUser],
        description="One site of the viewer's.",
    )
    sites = strawberry.field(
        resolver=resolvers.sites,
        permission_classes=[IsUser],
        description="The sites of one account, or of all the viewer is in; newest first.",
    )


@strawberry.type
class Mutation:
    create_site = strawberry.mutation(
        resolver=resolvers.create_site,
        permission_classes=[IsUser],
        description="Connect a shop; the answer carries its public site key.",
    )


schema = build_schema(query=Query, mutation=Mutation)
