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
        description="The available plans, cheapest first. Needs no authentication.",
    )


@strawberry.type
class Mutation:
    change_plan = strawberry.mutation(
        resolver=resolvers.change_plan,
        permission_classes=[IsUser],
        description="Change the plan of a site.",
    )


schema = build_schema(query=Query, mutation=Mutation, types=[Site])
