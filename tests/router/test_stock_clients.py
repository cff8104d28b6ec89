"""Case 19: what stock GraphQL clients send over HTTP, and what they show of the errors."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

import httpx
import pytest

from router.authz.authenticator import Authenticator
from router.authz.service import CheckEndpoint, create_app
from router.authz.signed_viewers import SignedViewers
from subgraphs.kernel.identity.viewer import ViewerSigner
from tests.fixtures.keys import PRIVATE
from tests.fixtures.programs import ROOT
from tests.fixtures.serving import serving
from tests.router.conftest import envoy
from tests.router.gateways import compose, serve_graph, tiny_supergraph
from tests.router.subscriptions.gateway_stack import Credentials
from tests.router.tiny_graph import subgraph

NEW = "application/graphql-response+json"
STOCK = {"accept": f"{NEW}, application/json;q=0.9"}
NOBODY = {"authorization": "Bearer nobody"}
UNKNOWN_FIELD = "{ person(id: 1) { nope } }"
ERRORS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "syntax": ({"query": "{ person("}, {}),
    "unknown field": ({"query": UNKNOWN_FIELD}, {}),
    "wrong variable": (
        {"query": "query($id: ID!) { person(id: $id) { name } }", "variables": {"id": {}}},
        {},
    ),
    "no login": ({"query": "{ __typename }"}, NOBODY),
}


@pytest.fixture(scope="module", params=["router", "embedded"])
async def public(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The address of an Envoy before a gateway of the tiny graph."""
    folder = tmp_path_factory.mktemp(request.param)
    check = CheckEndpoint(cast(Authenticator, Credentials()), SignedViewers(ViewerSigner(PRIVATE)))
    async with AsyncExitStack() as stack:
        urls: dict[str, str] = {}
        for name in ("users", "sites"):
            port = await stack.enter_async_context(serving(subgraph(name)))
            urls[f"{name.upper()}_URL"] = f"http://127.0.0.1:{port}/graphql"
        config = tiny_supergraph(folder)
        assert compose(config).returncode == 0
        gateway = await stack.enter_async_context(serve_graph(request.param, folder, urls))
        ports = {"router": int(gateway.rsplit(":", 1)[1])}
        authz = create_app(check, invalidate=lambda change: None)
        ports["authz"] = await stack.enter_async_context(serving(authz))
        yield await stack.enter_async_context(envoy(ports, folder))


@pytest.fixture
async def client(public: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=public, timeout=20) as made:
        yield made


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("accept", [STOCK, {"accept": "application/json"}, {}])
async def test_an_error_has_a_message_and_a_code(
    client: httpx.AsyncClient, name: str, accept: dict[str, str]
) -> None:
    body, headers = ERRORS[name]

    answer = await client.post("/graphql", json=body, headers={**headers, **accept})

    error = answer.json()["errors"][0]
    assert error["message"]
    assert error["extensions"]["code"]
    assert answer.status_code == (401 if headers else 400)
    assert _media_type(answer) == (NEW if accept == STOCK else "application/json")


async def test_a_get_request_needs_a_header_and_is_told_which(client: httpx.AsyncClient) -> None:
    query = {"query": "{ __typename }"}

    blocked = await client.get("/graphql", params=query, headers=STOCK)
    passed = await client.get(
        "/graphql", params=query, headers={**STOCK, "apollo-require-preflight": "1"}
    )

    assert blocked.status_code == 400
    assert _media_type(blocked) == NEW
    error = blocked.json()["errors"][0]
    assert "apollo-require-preflight" in error["message"]
    assert error["extensions"]["code"]
    assert (passed.status_code, passed.json()) == (200, {"data": {"__typename": "Query"}})
    assert _media_type(passed) == NEW


@pytest.mark.parametrize("name", ["apollo", "urql", "relay"])
async def test_a_stock_client_shows_the_error(public: str, name: str) -> None:
    errors = await _shown_by(name, f"{public}/graphql", UNKNOWN_FIELD)

    (shown,) = [message for code, message in errors if code == "GRAPHQL_VALIDATION_FAILED"][-1:]
    assert shown.startswith('Cannot query field "nope" on type "Person".')


@pytest.mark.parametrize("name", ["apollo", "urql", "relay"])
async def test_a_stock_client_shows_that_a_credential_is_not_valid(public: str, name: str) -> None:
    errors = await _shown_by(name, f"{public}/graphql", "{ whoAmI }", NOBODY["authorization"])

    assert errors == [["UNAUTHENTICATED", "This credential does not exist."]]


async def _shown_by(*arguments: str) -> list[list[str]]:
    """Returns code and message of the errors that an application of a stock client gets."""
    script = str(ROOT / "tests" / "router" / "stock_client.mjs")
    process = await asyncio.create_subprocess_exec(
        "node", script, *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    shown: list[list[str]] = json.loads(output)
    return shown


def _media_type(answer: httpx.Response) -> str:
    return answer.headers["content-type"].partition(";")[0]
