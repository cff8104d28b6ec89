"""The users subgraph: a table of contents."""

import strawberry

from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.permissions import IsUser
from subgraphs.users import resolvers


@strawberry.type
class Query:
    me = strawberry.field(
        resolver=resolvers.me, permission_classes=[IsUser], description="The logged-in user."
    )
    account = strawberry.field(
        resolver=resolvers.account,
        permission_classes=[IsUser],
        description="An account that the viewer is a member of.",
    )


@strawberry.type
class Mutation:
    sign_up = strawberry.mutation(
        resolver=resolvers.sign_up,
        description="Create a user and an account that the user owns. Needs no authentication.",
    )
    log_in = strawberry.mutation(
        resolver=resolvers.log_in,
        description="Get a session token, with at most 10 tries in 5 minutes for one address.",
    )
    log_out = strawberry.mutation(
        resolver=resolvers.log_out,
        permission_classes=[IsUser],
        description="End the session of the token; the token is rejected from then on.",
    )
    add_member = strawberry.mutation(
        resolver=resolvers.add_member,
        permission_classes=[IsUser],
        description="Give a user who has signed up a role in an account.",
    )
    remove_member = strawberry.mutation(
        resolver=resolvers.remove_member,
        permission_classes=[IsUser],
        description="Remove a user from an account.",
    )


schema = build_schema(query=Query, mutation=Mutation)
