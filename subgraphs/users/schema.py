"""The users subgraph: a table of contents."""

import strawberry

from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.permissions import IsUser
from subgraphs.users import resolvers


@strawberry.type
class Query:
    me = strawberry.field(
        resolver=resolvers.me, permission_classes=[IsUser], description="Who is logged in."
    )
    account = strawberry.field(
        resolver=resolvers.account,
        permission_classes=[IsUser],
        description="One account the viewer is in.",
    )


@strawberry.type
class Mutation:
    sign_up = strawberry.mutation(
        resolver=resolvers.sign_up,
        description="Make a user and an account of which they are the owner; open to everyone.",
    )
    log_in = strawberry.mutation(
        resolver=resolvers.log_in, description="Get a token; open to everyone."
    )
    log_out = strawberry.mutation(
        resolver=resolvers.log_out,
        permission_classes=[IsUser],
        description="End the session the token belongs to; it is refused from then on.",
    )
    add_member = strawberry.mutation(
        resolver=resolvers.add_member,
        permission_classes=[IsUser],
        description="Give someone who has signed up a role in an account.",
    )
    remove_member = strawberry.mutation(
        resolver=resolvers.remove_member,
        permission_classes=[IsUser],
        description="Take someone's role in an account away.",
    )


schema = build_schema(query=Query, mutation=Mutation)
