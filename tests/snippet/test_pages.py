"""The pages service: headers, content types, and no files outside its folders."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient

from router.pages.app import create_app

SIZE_LIMIT_BYTES = 10_000
"""The limit for the compressed snippet."""
SIZE_ALARM_BYTES = 5_000
"""Half of the limit: passing it must be a decision."""


@pytest.fixture
async def client(built_snippet: Path) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(create_app(built_snippet))
    async with AsyncClient(transport=transport, base_url="http://pages") as opened:
        yield opened


def test_the_snippet_is_small(built_snippet: Path) -> None:
    code = (built_snippet / "snippet" / "proofgraph.js").read_bytes()
    size = len(gzip.compress(code, compresslevel=6))
    assert size < SIZE_ALARM_BYTES < SIZE_LIMIT_BYTES
    assert b"sourceMappingURL" not in code


async def test_any_origin_may_load_the_snippet(client: AsyncClient) -> None:
    response = await client.get("/snippet/proofgraph.js")
    assert response.status_code == 200
    expected = {
        "content-type": "text/javascript; charset=utf-8",
        "cache-control": "public, max-age=300, stale-while-revalidate=86400",
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
        "x-content-type-options": "nosniff",
        "content-encoding": "gzip",
    }
    assert {name: response.headers.get(name) for name in expected} == expected

    again = await client.get(
        "/snippet/proofgraph.js", headers={"If-None-Match": response.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/demo/shop.html", "text/html; charset=utf-8"),
        ("/demo/dashboard.html", "text/html; charset=utf-8"),
        ("/demo/shop.js", "text/javascript; charset=utf-8"),
        ("/demo/shop.css", "text/css; charset=utf-8"),
        ("/demo/products/blue-shoes.svg", "image/svg+xml"),
        ("/graphiql", "text/html; charset=utf-8"),
        ("/graphiql/", "text/html; charset=utf-8"),
        ("/graphiql/main.js", "text/javascript; charset=utf-8"),
        ("/graphiql/graphql.worker.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_only_the_own_origin_may_load_the_pages(
    client: AsyncClient, path: str, content_type: str
) -> None:
    response = await client.get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, content_type)
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in response.headers
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; connect-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert ("'unsafe-inline'" in policy) == path.startswith("/graphiql")
    assert "script-src" not in policy


async def test_demo_redirects_to_the_shop(client: AsyncClient) -> None:
    for path in ("/demo", "/demo/"):
        response = await client.get(f"{path}?key=pk_1")
        assert response.status_code == 307
        assert response.headers["location"] == "/demo/shop.html?key=pk_1"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing",
        "/demo/nothing.js",
        "/demo/products",
        "/snippet/",
        "/snippet/..%2fdemo/shop.html",
        "/snippet/%2e%2e/%2e%2e/package.json",
        "/snippet//etc/passwd",
        "/graphiql/..%5c..%5cpackage.json",
        "/demo/shop.html%00.js",
    ],
)
async def test_other_paths_are_not_found(client: AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.json() == {"error": {"code": "NOT_FOUND", "message": "Not Found"}}


async def test_refuses_post(client: AsyncClient) -> None:
    response = await client.post("/demo/shop.html")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


async def test_health(client: AsyncClient, tmp_path: Path) -> None:
    assert (await client.get("/healthz")).text == "ok"
    assert (await client.get("/readyz")).text == "ok"

    unbuilt = ASGITransport(create_app(tmp_path))
    async with AsyncClient(transport=unbuilt, base_url="http://pages") as empty:
        assert (await empty.get("/healthz")).text == "ok"
        ready = await empty.get("/readyz")
        assert ready.status_code == 503
        assert ready.text.startswith("snippet/proofgraph.js, ")
        assert (await empty.get("/snippet/proofgraph.js")).status_code == 404
        assert (await empty.get("/graphiql")).status_code == 404
