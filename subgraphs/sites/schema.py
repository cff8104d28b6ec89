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
        description="A site of the viewer's accounts.",
    )
    sites = strawberry.field(
        resolver=resolvers.sites,
        permission_classes=[IsUser],
        description="The sites of one account, or of all the viewer's accounts; newest first.",
    )


@strawberry.type
class Mutation:
    create_site = strawberry.mutation(
        resolver=resolvers.create_site,
        permission_classes=[IsUser],
        description="Create a site; the response contains its public site key.",
    )


schema = build_schema(query=Query, mutation=Mutation)
