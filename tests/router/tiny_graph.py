"""Two small subgraphs on the real kernel, which record the headers of their requests.

`users` owns `Person`, `sites` extends it. They contain what gateways can get wrong: a join, coded
errors, a masked error, a nullable field that fails, a mutation, a subscription.
"""

from collections.abc import AsyncIterator

import strawberry
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from subgraphs.kernel.errors import Forbidden, NotFound, Unavailable
from subgraphs.kernel.graphql.app import SubgraphsApp
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.endpoint import GraphQLEndpoint
from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.viewer import ViewerVerifier
from tests.fixtures.keys import PUBLIC


class RecordingApp:
    """An ASGI app that records the headers of every HTTP request."""

    def __init__(self, app: ASGIApp) -> None:
        self.headers: list[dict[str, str]] = []
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = scope["headers"]
            self.headers.append({name.decode(): value.decode() for name, value in headers})
        await self._app(scope, receive, send)


@strawberry.federation.type(keys=["id"], name="Person")
class Person:
    id: strawberry.ID
    name: str

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> "Person":
        return cls(id=id, name=f"Person {id}")


@strawberry.type
class UsersQuery:
    @strawberry.field
    def person(self, id: strawberry.ID) -> Person | None:
        if id == "404":
            raise NotFound("There is no such person.")
        return Person(id=id, name=f"Person {id}")

    @strawberry.field
    def who_am_i(self, info: Info) -> str:
        return str(info.context.viewer.kind)

    @strawberry.field
    def slow(self) -> str:
        raise Unavailable("Request less data.")

    @strawberry.field
    def broken(self) -> str:
        raise RuntimeError("internal detail")


@strawberry.input
class RenameInput:
    id: strawberry.ID
    name: str


@strawberry.type
class Mutation:
    @strawberry.mutation
    def rename(self, input: RenameInput) -> Person:
        return Person(id=input.id, name=input.name)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


@strawberry.federation.type(keys=["id"], name="Person")
class Owner:
    id: strawberry.ID

    @strawberry.field
    def shops(self) -> list[str]:
        return [f"Shop of {self.id}"]

    @strawberry.field
    def takings(self) -> int | None:
        raise Forbidden("Takings are for the owner.")

    @strawberry.field
    def guarded(self) -> int:
        raise Forbidden("This is for the owner.")

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> "Owner":
        return cls(id=id)


@strawberry.type
class SitesQuery:
    @strawberry.field
    def owner(self, id: strawberry.ID) -> Owner:
        return Owner(id=id)


SCHEMAS = {
    "users": build_schema(query=UsersQuery, mutation=Mutation, subscription=Subscription),
    "sites": build_schema(query=SitesQuery),
}


def subgraph(name: str) -> RecordingApp:
    """Returns the app of one subgraph, which serves /graphql."""
    endpoint = GraphQLEndpoint(SCHEMAS[name], ViewerVerifier(PUBLIC))
    return RecordingApp(SubgraphsApp({"/graphql": endpoint}, FastAPI()))
