"""Envoy's authentication: by the real authz, never by what the client claims."""

import httpx
import pytest
import websockets

from subgraphs.kernel.identity.sessions import SessionSigner
from subgraphs.kernel.identity.viewer import (
    NOBODY,
    Viewer,
    ViewerKind,
    ViewerSigner,
    ViewerVerifier,
)
from subgraphs.kernel.ids import new_id
from tests.fixtures.keys import PRIVATE, PUBLIC
from tests.fixtures.shop import new_shop
from tests.router.echo import ReceivedRequest, raw, read, received

VIEWER = "x-proofgraph-viewer"
SPELLINGS = [VIEWER, "X-Proofgraph-Viewer", "X-PROOFGRAPH-VIEWER", "x_proofgraph_viewer"]
FORGED = [*SPELLINGS, "x-proofgraph_viewer", "X_PROOFGRAPH-VIEWER"]


def viewer_of(request: ReceivedRequest) -> Viewer:
    [token] = request.all(VIEWER)
    return ViewerVerifier(PUBLIC).verify({VIEWER: token})


async def test_without_credential_the_router_gets_nobody(client: httpx.AsyncClient) -> None:
    request = received(await client.post("/graphql", json={}))

    assert viewer_of(request) == NOBODY


async def test_the_router_gets_the_user_or_the_site(client: httpx.AsyncClient) -> None:
    shop = await new_shop()
    token, _ = SessionSigner(PRIVATE).sign(shop.owner.id or new_id(), session_id := new_id())

    user = await client.post("/graphql", headers={"authorization": f"Bearer {token}"})
    site = await client.post("/graphql", headers={"x-proofgraph-site-key": shop.site_key})

    assert viewer_of(received(user)) == Viewer(
        ViewerKind.USER, shop.owner.id, (shop.account_id,), (), session_id
    )
    assert viewer_of(received(site)) == Viewer(ViewerKind.SITE, shop.site_id, (shop.account_id,))
    for answer in (user, site):
        assert received(answer).all("authorization") == []
        assert received(answer).all("x-proofgraph-site-key") == []


async def test_the_origin_reaches_authz(client: httpx.AsyncClient) -> None:
    shop = await new_shop()
    headers = {"x-proofgraph-site-key": shop.site_key, "origin": "https://elsewhere.test"}

    answer = await client.post("/graphql", headers=headers)

    assert answer.status_code == 403
    assert answer.json()["errors"][0]["extensions"] == {"code": "FORBIDDEN"}
    assert answer.headers["access-control-allow-origin"] == "https://elsewhere.test"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"authorization": "Bearer false"}, 401, "UNAUTHENTICATED"),
        ({"authorization": "Basic YTpi"}, 401, "UNAUTHENTICATED"),
        ({"x-proofgraph-site-key": "pk_unknown"}, 401, "UNAUTHENTICATED"),
        (
            {"authorization": "Bearer false", "x-proofgraph-site-key": "pk_unknown"},
            400,
            "BAD_USER_INPUT",
        ),
    ],
)
async def test_authz_errors_reach_the_client(
    client: httpx.AsyncClient, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await client.post("/graphql", headers=headers, json={})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    [error] = answer.json()["errors"]
    assert error["extensions"] == {"code": code}
    assert VIEWER not in answer.headers


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize(
    ("path", "accept", "app"),
    [
        ("/graphql", "text/event-stream", "live"),
        ("/v1/events", "*/*", "ingest"),
        ("/hooks/shopify/1", "*/*", "inbox"),
        ("/graphiql", "*/*", "pages"),
        ("/demo", "*/*", "pages"),
        ("/snippet/proofgraph.js", "*/*", "pages"),
    ],
)
async def test_a_forged_viewer_reaches_no_upstream(
    client: httpx.AsyncClient, path: str, accept: str, app: str, name: str
) -> None:
    request = received(await client.post(path, headers={name: "forged", "accept": accept}))

    assert request.app == app
    assert [key for key, _ in request.headers if "viewer" in key] == []


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_viewer_is_replaced_by_the_authenticated_one(
    client: httpx.AsyncClient, name: str
) -> None:
    others = ViewerSigner(PRIVATE).sign(Viewer(ViewerKind.USER, new_id()))

    request = received(await client.post("/graphql", headers=[(name, others), (name, "twice")]))

    assert viewer_of(request) == NOBODY
    assert [key for key, _ in request.headers if "viewer" in key] == [VIEWER]


async def test_a_forged_viewer_of_a_websocket_is_removed(edge: str) -> None:
    headers = dict.fromkeys(SPELLINGS, "forged")
    address = edge.replace("http", "ws") + "/graphql"
    async with websockets.connect(address, additional_headers=headers) as socket:
        request = read(str(await socket.recv()))

    assert request.app == "live"
    assert [key for key, _ in request.headers if "viewer" in key] == []


@pytest.mark.parametrize(
    "lines",
    [
        ["connection: x-proofgraph-viewer"],
        ["connection: close, X-Proofgraph-Viewer"],
        ["upgrade: websocket"],
        ["te: trailers", "trailer: x-proofgraph-viewer"],
    ],
)
async def test_hop_by_hop_headers_do_not_forge_a_viewer(edge: str, lines: list[str]) -> None:
    head = ["POST /graphql HTTP/1.1", *lines, "x-proofgraph-viewer: forged", "content-length: 0"]

    status, body = await raw(edge, head)

    request = ReceivedRequest(*body)
    assert (status, request.app) == (200, "router")
    assert viewer_of(request) == NOBODY


async def test_a_forged_viewer_in_a_trailer_is_removed(edge: str) -> None:
    lines = ["POST /graphql HTTP/1.1", "transfer-encoding: chunked", "trailer: x-proofgraph-viewer"]

    _, body = await raw(edge, lines, "2\r\n{}\r\n0\r\nx-proofgraph-viewer: forged\r\n\r\n")

    assert viewer_of(ReceivedRequest(*body)) == NOBODY
    assert ReceivedRequest(*body).length == 2
