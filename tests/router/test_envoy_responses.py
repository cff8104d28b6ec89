"""Envoy's own responses, and what responses and logs must not contain."""

import json
from pathlib import Path

import httpx
import pytest

from subgraphs.analytics.ingest import request_reader
from subgraphs.integrations.inbox.request import MAX_BODY
from tests.fixtures.serving import serving
from tests.router.conftest import authz, envoy
from tests.router.echo import Echo, received

TOO_LONG = b"x" * (1024 * 1024 + 1)
UNAVAILABLE = "The service does not answer; send the request again in a few seconds."
GRAPHQL_UNAVAILABLE = {"errors": [{"message": UNAVAILABLE, "extensions": {"code": "UNAVAILABLE"}}]}
PLAIN_UNAVAILABLE = {"error": {"code": "UNAVAILABLE", "message": UNAVAILABLE}}
SHOP = "https://shop.example.com"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_an_operation_over_the_limit_is_rejected(
    client: httpx.AsyncClient, accept: str
) -> None:
    answer = await client.post("/graphql", content=TOO_LONG, headers={"accept": accept})

    assert answer.status_code == 413
    [error] = answer.json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_an_operation_at_the_limit_passes(client: httpx.AsyncClient) -> None:
    assert received(await client.post("/graphql", content=TOO_LONG[1:])).length == 1024 * 1024


@pytest.mark.parametrize(
    ("path", "longest"),
    [("/v1/events", request_reader.MAX_BODY), ("/hooks/shopify/1", MAX_BODY)],
)
async def test_each_path_has_its_body_limit(
    client: httpx.AsyncClient, path: str, longest: int
) -> None:
    whole = await client.post(path, content=b"x" * longest)
    refused = await client.post(path, content=b"x" * (longest + 1))

    assert received(whole).length == longest
    assert refused.status_code == 413
    error = {"code": "BAD_USER_INPUT", "message": "The request is too large."}
    assert refused.json() == {"error": error}


async def test_the_413_of_ingest_is_readable_cross_origin(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/events", content=TOO_LONG, headers={"origin": SHOP})

    assert answer.status_code == 413
    assert answer.headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize("path", ["/graphql", "/v1/events"])
async def test_preflights_allow_every_origin(client: httpx.AsyncClient, path: str) -> None:
    preflight = await client.options(
        path,
        headers={
            "origin": SHOP,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,authorization,x-proofgraph-site-key",
        },
    )
    answer = await client.post(path, headers={"origin": SHOP}, json={})

    assert preflight.status_code == 200
    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert {"content-type", "authorization", "x-proofgraph-site-key"} <= set(allowed)
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for headers in (preflight.headers, answer.headers):
        assert headers["access-control-allow-origin"] == SHOP
        assert "access-control-allow-credentials" not in headers


async def test_streams_are_readable_cross_origin(client: httpx.AsyncClient) -> None:
    headers = {"origin": SHOP, "accept": "text/event-stream"}

    answer = await client.post("/graphql", headers=headers, json={})

    assert answer.headers["access-control-allow-origin"] == SHOP


async def test_pages_and_hooks_allow_no_other_origin(client: httpx.AsyncClient) -> None:
    for path in ("/hooks/shopify/1", "/graphiql", "/nowhere"):
        answer = await client.get(path, headers={"origin": SHOP})
        assert "access-control-allow-origin" not in answer.headers


async def test_responses_do_not_reveal_the_upstream(client: httpx.AsyncClient) -> None:
    for path in ("/graphql", "/demo", "/nowhere", "/healthz"):
        headers = (await client.get(path)).headers
        assert "server" not in headers
        assert [name for name in headers if name.startswith("x-envoy")] == []
        assert headers["x-content-type-options"] == "nosniff"


async def test_envoy_sets_the_request_id(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", headers={"x-request-id": "theirs"}, json={})

    assert received(answer).all("x-request-id") == [answer.headers["x-request-id"]]
    assert answer.headers["x-request-id"] != "theirs"


async def test_x_envoy_headers_are_ignored(client: httpx.AsyncClient) -> None:
    steering = {
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-retry-on": "5xx",
        "x-envoy-original-path": "/hooks",
        "x-envoy-internal": "true",
    }

    there = received(await client.post("/graphql", headers=steering, json={}))

    names = [name for name, _ in there.headers if name.startswith("x-envoy")]
    assert names == ["x-envoy-external-address"]


async def test_an_unreachable_upstream_is_reported_in_the_paths_format(tmp_path: Path) -> None:
    async with (
        serving(authz()) as authz_port,
        envoy({"authz": authz_port}, tmp_path) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        graphql = [
            await client.post("/graphql", json={}, headers={"origin": SHOP}),
            await client.get("/graphql?query=%7Bme%7D"),
            await client.post("/graphql", json={}, headers={"accept": "text/event-stream"}),
        ]
        plain = [
            await client.post("/v1/events", json={}),
            await client.post("/hooks/shopify/1", json={}),
            await client.get("/demo/shop.html"),
        ]

    for answers, body in ((graphql, GRAPHQL_UNAVAILABLE), (plain, PLAIN_UNAVAILABLE)):
        for answer in answers:
            assert (answer.status_code, answer.json()) == (503, body)
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["retry-after"] == "2"
    assert graphql[0].headers["access-control-allow-origin"] == SHOP


async def test_without_authz_the_router_gets_no_request(tmp_path: Path) -> None:
    async with (
        serving(Echo("router")) as router_port,
        envoy({"router": router_port}, tmp_path) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        answer = await client.post("/graphql", json={})

    assert (answer.status_code, answer.json()) == (503, GRAPHQL_UNAVAILABLE)


async def test_the_access_log_has_no_credentials(tmp_path: Path) -> None:
    secrets = {"authorization": "Bearer secret-1", "cookie": "secret-2"}
    async with (
        serving(authz()) as authz_port,
        envoy({"authz": authz_port}, tmp_path) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        await client.post("/graphql?token=secret-3", headers=secrets, json={})
        await client.get("/healthz")

    text = (tmp_path / "envoy.log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    [line] = [line for line in lines if line["path"] == "/graphql"]
    assert (line["method"], line["status"], line["details"]) == ("POST", 401, "ext_authz_denied")
    assert "secret" not in text
