"""The billing subgraph: a table of contents."""

import strawberry

from subgraphs.billing import resolvers
from subgraphs.billing.types import Site
from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.permissions import IsUser


@strawberry.type
class Query:
    plans = strawberry.field(
        resolver=resolvers.plans,
        description="What may be bought, the cheapest first; open to everybody.",
    )


@strawberry.type
class Mutation:
    change_plan = strawberry.mutation(
        resolver=resolvers.change_plan,
        permission_classes=[IsUser],
        description="Put a site on another plan.",
    )


schema = build_schema(query=Query, mutation=Mutation, types=[Site])
