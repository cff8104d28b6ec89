"""The endpoint of a subgraph: verified viewers, JSON by the short way, the rest by the view."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import strawberry
from fastapi import FastAPI
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from subgraphs.kernel.errors import Forbidden
from subgraphs.kernel.graphql.app import SubgraphsApp
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.endpoint import GraphQLEndpoint
from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.viewer import (
    NOBODY,
    VIEWER_HEADER,
    Viewer,
    ViewerKind,
    ViewerSigner,
    ViewerVerifier,
)
from tests.fixtures.keys import PRIVATE, PUBLIC
from tests.fixtures.serving import serving

SIGNER = ViewerSigner(PRIVATE)


def viewer_headers() -> dict[str, str]:
    """The header of a viewer, which expires after a minute."""
    return {VIEWER_HEADER: SIGNER.sign(NOBODY)}


@strawberry.type
class Query:
    @strawberry.field
    def who(self, info: Info) -> str:
        return str(info.context.viewer.kind)

    @strawberry.field
    def echo(self, text: str) -> str:
        return text

    @strawberry.field
    def refused(self) -> str | None:
        raise Forbidden("Not for you.")


@strawberry.type
class Mutation:
    @strawberry.mutation
    def change(self) -> int:
        return 1


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


schema = build_schema(query=Query, mutation=Mutation, subscription=Subscription)


@pytest.fixture
def app() -> SubgraphsApp:
    return SubgraphsApp({"/graphql": GraphQLEndpoint(schema, ViewerVerifier(PUBLIC))}, FastAPI())


@pytest.fixture
async def client(app: SubgraphsApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://subgraph") as client:
        yield client


async def post(client: httpx.AsyncClient, **body: object) -> tuple[int, object]:
    response = await client.post("/graphql", json=body, headers=viewer_headers())
    return response.status_code, response.json()


async def test_a_document_is_executed_for_its_viewer(client: httpx.AsyncClient) -> None:
    for kind in (ViewerKind.USER, ViewerKind.SITE, ViewerKind.USER):
        headers = {VIEWER_HEADER: SIGNER.sign(Viewer(kind))}
        response = await client.post("/graphql", json={"query": "{ who }"}, headers=headers)
        assert response.json() == {"data": {"who": kind.value}}
    assert response.headers["content-type"] == "application/json"


async def test_variables_and_operation_names_reach_the_document(client: httpx.AsyncClient) -> None:
    one = "query A($text: String!) { echo(text: $text) }"
    two = f"{one} query B {{ who }}"

    for _ in range(2):  # parsed, then known
        assert await post(client, query=one, variables={"text": "é\u2028"}) == (
            200,
            {"data": {"echo": "é\u2028"}},
        )
        for name, data in (("A", {"echo": "x"}), ("B", {"who": "nobody"})):
            body = {"query": two, "variables": {"text": "x"}, "operationName": name}
            assert await post(client, **body) == (200, {"data": data})
    assert await post(client, query="mutation { change }") == (200, {"data": {"change": 1}})


async def test_an_error_has_its_code_and_path(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        status, body = await post(client, query="{ refused }")
        assert (status, body) == (
            200,
            {
                "data": {"refused": None},
                "errors": [
                    {
                        "message": "Not for you.",
                        "locations": [{"line": 1, "column": 3}],
                        "path": ["refused"],
                        "extensions": {"code": "FORBIDDEN"},
                    }
                ],
            },
        )


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", "application/json"),
        ("{", "application/json"),
        ("[]", "application/json"),
        ('{"query": 1}', "application/json"),
        ('{"query": "{ who }", "variables": []}', "application/json"),
        ('{"query": "query A { who } query B { who }", "operationName": "C"}', "application/json"),
        ('{"query": "subscription { ticks }"}', "application/json"),
        ('{"query": "{ who }"}', "text/plain"),
    ],
)
async def test_what_is_no_request_is_refused(
    client: httpx.AsyncClient, body: str, content_type: str
) -> None:
    for _ in range(2):
        headers = {**viewer_headers(), "content-type": content_type}
        response = await client.post("/graphql", content=body, headers=headers)
        assert response.status_code == 400


async def test_a_query_may_not_come_by_get(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", params={"query": "{ who }"}, headers=viewer_headers())

    assert response.status_code == 400


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
async def test_a_request_without_a_viewer_is_refused(
    client: httpx.AsyncClient, method: str
) -> None:
    body = json.dumps({"query": "{ who }"})
    json_type = {"content-type": "application/json"}
    for headers in ({}, {VIEWER_HEADER: "forged"}):
        response = await client.request(
            method, "/graphql", content=body, headers={**json_type, **headers}
        )
        assert response.status_code == 401
        assert response.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


async def test_a_websocket_without_a_viewer_is_not_accepted(app: SubgraphsApp) -> None:
    async with serving(app) as port:
        with pytest.raises(InvalidStatus) as raised:
            await connect(f"ws://127.0.0.1:{port}/graphql")

    assert raised.value.response.status_code == 403


async def test_a_subscription_runs_over_a_websocket(app: SubgraphsApp) -> None:
    protocols = [Subprotocol("graphql-transport-ws")]
    async with (
        serving(app) as port,
        connect(
            f"ws://127.0.0.1:{port}/graphql",
            subprotocols=protocols,
            additional_headers=viewer_headers(),
        ) as socket,
    ):
        await socket.send('{"type": "connection_init"}')
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        subscribe = {"id": "1", "type": "subscribe", "payload": {"query": "subscription{ticks}"}}
        await socket.send(json.dumps(subscribe))
        assert json.loads(await socket.recv()) == {
            "id": "1",
            "type": "next",
            "payload": {"data": {"ticks": 1}},
        }
