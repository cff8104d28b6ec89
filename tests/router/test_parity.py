"""Apollo Router and the embedded gateway answer alike: every case is asked of both."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from subgraphs.kernel.identity.viewer import NOBODY, VIEWER_HEADER, ViewerSigner
from tests.fixtures.keys import PRIVATE
from tests.fixtures.serving import serving
from tests.router.gateways import compose, serve_graph, tiny_supergraph
from tests.router.tiny_graph import Heard, subgraph

JOIN = "query($id: ID!) { person(id: $id) { name shops } }"
RENAME = "mutation($input: RenameInput!) { rename(input: $input) { name shops } }"
UNAVAILABLE = "A part of Proofgraph is not answering; try again in a moment."


class Graph(NamedTuple):
    """A graph that is served, and the subgraphs behind it."""

    client: httpx.AsyncClient
    subgraphs: dict[str, Heard]

    async def ask(self, document: str, **variables: Any) -> httpx.Response:
        body = {"query": document, "variables": variables}
        return await self.client.post("/graphql", json=body)


@pytest.fixture(scope="module", params=["router", "embedded"])
async def graph(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Graph]:
    """The tiny graph, by the router and then by the gateway."""
    folder = tmp_path_factory.mktemp(request.param)
    async with AsyncExitStack() as stack:
        subgraphs = {name: subgraph(name) for name in ("users", "sites")}
        ports = {
            name: await stack.enter_async_context(serving(app)) for name, app in subgraphs.items()
        }
        client = await stack.enter_async_context(asked(request.param, folder, ports))
        yield Graph(client, subgraphs)


@pytest.fixture(scope="module", params=["router", "embedded"])
async def half(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Graph]:
    """The same with one subgraph down."""
    folder = tmp_path_factory.mktemp(request.param)
    async with AsyncExitStack() as stack:
        users = subgraph("users")
        ports = {"users": await stack.enter_async_context(serving(users)), "sites": 1}
        client = await stack.enter_async_context(asked(request.param, folder, ports))
        yield Graph(client, {"users": users})


@asynccontextmanager
async def asked(kind: str, folder: Path, ports: dict[str, int]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the tiny graph, with the header that the edge would have put."""
    compose(tiny_supergraph(folder)).check_returncode()
    urls = {
        f"{name.upper()}_URL": f"http://127.0.0.1:{port}/graphql" for name, port in ports.items()
    }
    headers = {VIEWER_HEADER: ViewerSigner(PRIVATE).sign(NOBODY)}
    async with (
        serve_graph(kind, folder, urls) as address,
        httpx.AsyncClient(base_url=address, headers=headers, timeout=20) as client,
    ):
        yield client


def errors_of(answer: httpx.Response) -> list[tuple[str, str, list[str | int]]]:
    """(code, message, path) of each error; checks that nothing else is told about it."""
    errors = answer.json()["errors"]
    for error in errors:
        assert error.keys() <= {"message", "locations", "path", "extensions"}
        assert error["extensions"].keys() <= {"code", "errorId"}
    return [
        (error["extensions"]["code"], error["message"], error.get("path") or []) for error in errors
    ]


async def test_two_subgraphs_answer_as_one(graph: Graph) -> None:
    answer = await graph.ask(JOIN, id="7")

    assert answer.status_code == 200
    assert answer.json() == {"data": {"person": {"name": "Person 7", "shops": ["Shop of 7"]}}}


async def test_a_mutation_is_followed_by_a_join(graph: Graph) -> None:
    answer = await graph.ask(RENAME, input={"id": "1", "name": "Anna"})

    assert answer.json() == {"data": {"rename": {"name": "Anna", "shops": ["Shop of 1"]}}}


async def test_the_viewer_is_passed_on_and_nothing_else(graph: Graph) -> None:
    for heard in graph.subgraphs.values():
        heard.headers.clear()
    brought = {
        "authorization": "Bearer secret",
        "x-proofgraph-site-key": "pk_1",
        "cookie": "a=b",
        "x-forwarded-for": "192.0.2.1",
        "x-other": "1",
    }

    await graph.client.post(
        "/graphql", headers=brought, json={"query": JOIN, "variables": {"id": 1}}
    )

    for heard in graph.subgraphs.values():
        [headers] = heard.headers
        assert headers[VIEWER_HEADER] == graph.client.headers[VIEWER_HEADER]
        assert headers.keys().isdisjoint(brought)


async def test_without_a_viewer_the_subgraphs_refuse(graph: Graph) -> None:
    answer = await graph.client.post(
        "/graphql", headers={VIEWER_HEADER: "forged"}, json={"query": "{ whoAmI }"}
    )

    assert answer.json()["data"] is None
    assert "UNAUTHENTICATED" in [code for code, _, _ in errors_of(answer)]


@pytest.mark.parametrize(
    ("document", "data", "errors"),
    [
        (
            '{ person(id: "404") { name } }',
            {"person": None},
            [("NOT_FOUND", "There is no such person.", ["person"])],
        ),
        (
            '{ person(id: "1") { name takings } }',
            {"person": {"name": "Person 1", "takings": None}},
            [("FORBIDDEN", "Takings are for the owner.", ["person", "takings"])],
        ),
        (
            '{ person(id: "1") { name guarded } }',
            {"person": None},
            [("FORBIDDEN", "This is for the owner.", ["person", "guarded"])],
        ),
        ("{ slow }", None, [("UNAVAILABLE", "Ask for less.", ["slow"])]),
        (
            "{ broken }",
            None,
            [("INTERNAL", "Internal error; report its `errorId` to support.", ["broken"])],
        ),
        (
            "{ " + " ".join(f"a{n}: whoAmI" for n in range(31)) + " }",
            None,
            [("BAD_USER_INPUT", "The document has 31 aliases; at most 30 are allowed.", [])],
        ),
    ],
)
async def test_what_a_subgraph_says_passes_unchanged(
    graph: Graph, document: str, data: Any, errors: list[Any]
) -> None:
    answer = await graph.ask(document)

    assert (answer.status_code, answer.json()["data"]) == (200, data)
    assert errors_of(answer) == errors


async def test_a_masked_error_has_its_id_and_no_more(graph: Graph) -> None:
    answer = await graph.ask("{ broken }")

    [error] = answer.json()["errors"]
    assert error["extensions"].keys() == {"code", "errorId"}
    assert "secret of the house" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": "{ person("}, 400, "PARSING_ERROR"),
        ({"query": "{ " + "a: whoAmI " * 2000 + "}"}, 400, "PARSING_ERROR"),
        ({"query": "{ nothing }"}, 400, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ whoAmI ... @defer { whoAmI } }"}, 400, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": JOIN}, 400, "BAD_USER_INPUT"),
        ({"query": RENAME, "variables": {"input": {"id": 1}}}, 400, "BAD_USER_INPUT"),
        ({"query": "subscription { ticks }"}, 406, "BAD_USER_INPUT"),
        (
            {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "a" * 64}}},
            200,
            "PERSISTED_QUERY_NOT_SUPPORTED",
        ),
    ],
)
async def test_an_operation_that_cannot_run_is_refused(
    graph: Graph, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await graph.client.post("/graphql", json=body)

    assert answer.status_code == status
    assert {error[0] for error in errors_of(answer)} == {code}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": '{"query": "{ whoAmI }"}', "headers": {"content-type": "text/plain"}}, 400),
        ({"method": "GET", "params": {"query": "{ whoAmI }"}}, 400),
        ({"json": [{"query": "{ whoAmI }"}]}, 400),
        ({"json": {}}, 400),
        ({"content": "{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": "", "headers": {"content-type": "application/json"}}, 400),
        ({"json": {"query": "query A { whoAmI }", "operationName": "B"}}, 400),
        ({"json": {"query": "query A { whoAmI } query B { whoAmI }"}}, 400),
        ({"json": {"query": "{ whoAmI }"}, "headers": {"accept": "text/html"}}, 406),
        ({"method": "PUT", "json": {"query": "{ whoAmI }"}}, 405),
        ({"url": "/", "json": {"query": "{ whoAmI }"}}, 404),
        (
            {
                "method": "GET",
                "params": {"query": 'mutation { rename(input: {id: 1, name: ""}) { id } }'},
                "headers": {"apollo-require-preflight": "1"},
            },
            405,
        ),
    ],
)
async def test_a_request_that_is_none_is_refused(
    graph: Graph, request_: dict[str, Any], status: int
) -> None:
    answer = await graph.client.request(**{"method": "POST", "url": "/graphql", **request_})

    assert answer.status_code == status
    assert '"data"' not in answer.text


async def test_a_query_by_get_needs_what_a_foreign_form_cannot_send(graph: Graph) -> None:
    answer = await graph.client.get(
        "/graphql",
        params={"query": "{ whoAmI }"},
        headers={"apollo-require-preflight": "1"},
    )

    assert answer.json() == {"data": {"whoAmI": "nobody"}}


async def test_the_schema_can_be_asked_for(graph: Graph) -> None:
    answer = await graph.ask("{ __schema { subscriptionType { fields { name } } } __typename }")

    assert answer.json()["data"] == {
        "__schema": {"subscriptionType": {"fields": [{"name": "ticks"}]}},
        "__typename": "Query",
    }


async def test_a_subgraph_that_is_down_is_told_in_our_words(half: Graph) -> None:
    joined = await half.ask('{ person(id: "1") { name shops } whoAmI }')
    alone = await half.ask('{ owner(id: "1") { shops } }')

    assert joined.json()["data"] == {"person": None, "whoAmI": "nobody"}
    assert alone.json()["data"] is None
    for answer in (joined, alone):
        [(code, message, _)] = errors_of(answer)
        assert (code, message) == ("UNAVAILABLE", UNAVAILABLE)
