"""The start page's app answers this machine alone, and says what is missing."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deploy.local.demo.start_page import create_app
from deploy.local.stack.state import DEMO_FILE, STACK_FILE, State
from tests.fixtures.ports import free_port

DEMO = {
    "email": "demo@proofgraph.example",
    "password": "correct horse",
    "token": "secret session",
    "siteId": "01a21de8-6ff0-74dc-84cf-20d794a552f1",
    "siteKey": "pk_demo",
    "shopify": {"url": "http://localhost:1/hooks/shopify/1", "secret": "secret of the webhook"},
}


@pytest.fixture
def state(tmp_path: Path) -> State:
    """The state folder of a stack whose public port has closed."""
    state = State(tmp_path)
    parts = {"envoy": "starting", "gateway": "ready", "beat": "stopped"}
    public = f"http://localhost:{free_port()}"
    state.write(STACK_FILE, {"parts": parts, "urls": {"public": public}})
    return state


@pytest.fixture
async def local(state: State) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(state.folder))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


async def test_the_status_names_each_part_and_of_the_demo_no_secret_but_the_password(
    local: httpx.AsyncClient, state: State
) -> None:
    state.write(DEMO_FILE, DEMO)

    response = await local.get("/demo/status")

    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "parts": [
            {"name": "envoy", "state": "starting"},
            {"name": "gateway", "state": "ready"},
            {"name": "beat", "state": "stopped"},
        ],
        "gateway": "embedded",
        "stateFolder": str(state.folder),
        "demo": {
            "email": "demo@proofgraph.example",
            "password": "correct horse",
            "siteKey": "pk_demo",
        },
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example:8080"},
        {"host": "localhost.rebound.example"},
        {"host": ""},
        {"origin": "https://elsewhere.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
        {"x-envoy-external-address": "192.0.2.9"},
        {"x-envoy-external-address": "nonsense"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/demo/status"), ("POST", "/demo/order")])
async def test_other_machines_and_pages_of_other_origins_are_refused(
    local: httpx.AsyncClient, state: State, method: str, path: str, headers: dict[str, str]
) -> None:
    state.write(DEMO_FILE, DEMO)

    response = await local.request(method, path, headers=headers)

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "FORBIDDEN"


async def test_an_order_without_a_demo_merchant_says_what_to_run(local: httpx.AsyncClient) -> None:
    response = await local.post("/demo/order")

    assert (response.status_code, response.json()["error"]) == (
        409,
        {
            "code": "CONFLICT",
            "message": "There is no demo merchant yet: run `make demo` in a shell.",
        },
    )


async def test_an_order_that_the_webhook_receiver_does_not_take_is_unavailable(
    local: httpx.AsyncClient, state: State
) -> None:
    state.write(DEMO_FILE, DEMO)

    response = await local.post("/demo/order")

    assert (response.status_code, response.json()["error"]["code"]) == (502, "UNAVAILABLE")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_only_a_post_sends_an_order(local: httpx.AsyncClient, method: str) -> None:
    response = await local.request(method, "/demo/order")

    assert (response.status_code, response.headers["allow"]) == (405, "POST")
