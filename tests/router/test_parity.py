"""Apollo Router and the embedded gateway behave alike: every test runs on both."""

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
from tests.router.tiny_graph import RecordingApp, subgraph

JOIN = "query($id: ID!) { person(id: $id) { name shops } }"
RENAME = "mutation($input: RenameInput!) { rename(input: $input) { name shops } }"
UNAVAILABLE = "A subgraph does not answer; send the request again in a few seconds."


class Graph(NamedTuple):
    """A client of a served graph, and its subgraphs."""

    client: httpx.AsyncClient
    subgraphs: dict[str, RecordingApp]

    async def execute(self, document: str, **variables: Any) -> httpx.Response:
        body = {"query": document, "variables": variables}
        return await self.client.post("/graphql", json=body)


@pytest.fixture(scope="module", params=["router", "embedded"])
async def graph(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Graph]:
    """The tiny graph, served by the router and by the embedded gateway."""
    folder = tmp_path_factory.mktemp(request.param)
    async with AsyncExitStack() as stack:
        subgraphs = {name: subgraph(name) for name in ("users", "sites")}
        ports = {
            name: await stack.enter_async_context(serving(app)) for name, app in subgraphs.items()
        }
        client = await stack.enter_async_context(graph_client(request.param, folder, ports))
        yield Graph(client, subgraphs)


@pytest.fixture(scope="module", params=["router", "embedded"])
async def graph_without_sites(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Graph]:
    """The tiny graph, whose `sites` subgraph is down."""
    folder = tmp_path_factory.mktemp(request.param)
    async with AsyncExitStack() as stack:
        users = subgraph("users")
        ports = {"users": await stack.enter_async_context(serving(users)), "sites": 1}
        client = await stack.enter_async_context(graph_client(request.param, folder, ports))
        yield Graph(client, {"users": users})


@asynccontextmanager
async def graph_client(
    kind: str, folder: Path, ports: dict[str, int]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the tiny graph, which sends the viewer header that Envoy sets."""
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
    """(code, message, path) of each error; asserts that an error has no other keys."""
    errors = answer.json()["errors"]
    for error in errors:
        assert error.keys() <= {"message", "locations", "path", "extensions"}
        assert error["extensions"].keys() <= {"code", "errorId"}
    return [
        (error["extensions"]["code"], error["message"], error.get("path") or []) for error in errors
    ]


async def test_a_query_joins_two_subgraphs(graph: Graph) -> None:
    answer = await graph.execute(JOIN, id="7")

    assert answer.status_code == 200
    assert answer.json() == {"data": {"person": {"name": "Person 7", "shops": ["Shop of 7"]}}}


async def test_a_mutation_result_is_joined(graph: Graph) -> None:
    answer = await graph.execute(RENAME, input={"id": "1", "name": "Anna"})

    assert answer.json() == {"data": {"rename": {"name": "Anna", "shops": ["Shop of 1"]}}}


async def test_only_the_viewer_header_is_propagated(graph: Graph) -> None:
    for recording in graph.subgraphs.values():
        recording.headers.clear()
    client_headers = {
        "authorization": "Bearer secret",
        "x-proofgraph-site-key": "pk_1",
        "cookie": "a=b",
        "x-forwarded-for": "192.0.2.1",
        "x-other": "1",
    }

    await graph.client.post(
        "/graphql", headers=client_headers, json={"query": JOIN, "variables": {"id": 1}}
    )

    for recording in graph.subgraphs.values():
        [headers] = recording.headers
        assert headers[VIEWER_HEADER] == graph.client.headers[VIEWER_HEADER]
        assert headers.keys().isdisjoint(client_headers)


async def test_a_forged_viewer_is_unauthenticated(graph: Graph) -> None:
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
        ("{ slow }", None, [("UNAVAILABLE", "Request less data.", ["slow"])]),
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
async def test_subgraph_errors_pass_unchanged(
    graph: Graph, document: str, data: Any, errors: list[Any]
) -> None:
    answer = await graph.execute(document)

    assert (answer.status_code, answer.json()["data"]) == (200, data)
    assert errors_of(answer) == errors


async def test_a_masked_error_has_only_code_and_id(graph: Graph) -> None:
    answer = await graph.execute("{ broken }")

    [error] = answer.json()["errors"]
    assert error["extensions"].keys() == {"code", "errorId"}
    assert "internal detail" not in answer.text


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
async def test_invalid_operations_are_rejected_with_a_code(
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
async def test_malformed_requests_are_rejected(
    graph: Graph, request_: dict[str, Any], status: int
) -> None:
    answer = await graph.client.request(**{"method": "POST", "url": "/graphql", **request_})

    assert answer.status_code == status
    assert '"data"' not in answer.text


async def test_a_get_query_needs_a_preflight_header(graph: Graph) -> None:
    answer = await graph.client.get(
        "/graphql",
        params={"query": "{ whoAmI }"},
        headers={"apollo-require-preflight": "1"},
    )

    assert answer.json() == {"data": {"whoAmI": "nobody"}}


async def test_introspection_is_enabled(graph: Graph) -> None:
    answer = await graph.execute("{ __schema { subscriptionType { fields { name } } } __typename }")

    assert answer.json()["data"] == {
        "__schema": {"subscriptionType": {"fields": [{"name": "ticks"}]}},
        "__typename": "Query",
    }


async def test_an_unreachable_subgraph_is_unavailable(graph_without_sites: Graph) -> None:
    joined = await graph_without_sites.execute('{ person(id: "1") { name shops } whoAmI }')
    single = await graph_without_sites.execute('{ owner(id: "1") { shops } }')

    assert joined.json()["data"] == {"person": None, "whoAmI": "nobody"}
    assert single.json()["data"] is None
    for answer in (joined, single):
        [(code, message, _)] = errors_of(answer)
        assert (code, message) == ("UNAVAILABLE", UNAVAILABLE)
