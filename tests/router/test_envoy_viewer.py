"""Who is asking: found out by the real authz, and never taken from the client."""

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
from tests.router.echo import Seen, raw, read, seen

VIEWER = "x-proofgraph-viewer"
SPELLINGS = [VIEWER, "X-Proofgraph-Viewer", "X-PROOFGRAPH-VIEWER", "x_proofgraph_viewer"]
FORGED = [*SPELLINGS, "x-proofgraph_viewer", "X_PROOFGRAPH-VIEWER"]


def viewer_of(there: Seen) -> Viewer:
    [token] = there.all(VIEWER)
    return ViewerVerifier(PUBLIC).verify({VIEWER: token})


async def test_without_a_credential_the_router_is_told_of_nobody(client: httpx.AsyncClient) -> None:
    there = seen(await client.post("/graphql", json={}))

    assert viewer_of(there) == NOBODY


async def test_a_user_and_a_site_are_told_apart(client: httpx.AsyncClient) -> None:
    shop = await new_shop()
    token, _ = SessionSigner(PRIVATE).sign(shop.owner.id or new_id(), session_id := new_id())

    user = await client.post("/graphql", headers={"authorization": f"Bearer {token}"})
    site = await client.post("/graphql", headers={"x-proofgraph-site-key": shop.site_key})

    assert viewer_of(seen(user)) == Viewer(
        ViewerKind.USER, shop.owner.id, (shop.account_id,), (), session_id
    )
    assert viewer_of(seen(site)) == Viewer(ViewerKind.SITE, shop.site_id, (shop.account_id,))
    for answer in (user, site):
        assert seen(answer).all("authorization") == []
        assert seen(answer).all("x-proofgraph-site-key") == []


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
async def test_authz_says_why_not(
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
async def test_a_viewer_brought_along_reaches_no_app(
    client: httpx.AsyncClient, path: str, accept: str, app: str, name: str
) -> None:
    there = seen(await client.post(path, headers={name: "forged", "accept": accept}))

    assert there.app == app
    assert [key for key, _ in there.headers if "viewer" in key] == []


@pytest.mark.parametrize("name", FORGED)
async def test_the_router_gets_authz_viewer_and_no_other(
    client: httpx.AsyncClient, name: str
) -> None:
    others = ViewerSigner(PRIVATE).sign(Viewer(ViewerKind.USER, new_id()))

    there = seen(await client.post("/graphql", headers=[(name, others), (name, "twice")]))

    assert viewer_of(there) == NOBODY
    assert [key for key, _ in there.headers if "viewer" in key] == [VIEWER]


async def test_a_websocket_brings_no_viewer_along(edge: str) -> None:
    headers = dict.fromkeys(SPELLINGS, "forged")
    address = edge.replace("http", "ws") + "/graphql"
    async with websockets.connect(address, additional_headers=headers) as socket:
        there = read(str(await socket.recv()))

    assert there.app == "live"
    assert [key for key, _ in there.headers if "viewer" in key] == []


@pytest.mark.parametrize(
    "lines",
    [
        ["connection: x-proofgraph-viewer"],
        ["connection: close, X-Proofgraph-Viewer"],
        ["upgrade: websocket"],
        ["te: trailers", "trailer: x-proofgraph-viewer"],
    ],
)
async def test_hop_by_hop_tricks_change_nothing(edge: str, lines: list[str]) -> None:
    request = ["POST /graphql HTTP/1.1", *lines, "x-proofgraph-viewer: forged"]

    status, body = await raw(edge, [*request, "content-length: 0"])

    there = Seen(*body)
    assert (status, there.app) == (200, "router")
    assert (
        viewer_of(there._replace(headers=[(key, value) for key, value in there.headers])) == NOBODY
    )


async def test_a_viewer_in_a_trailer_is_left_behind(edge: str) -> None:
    lines = ["POST /graphql HTTP/1.1", "transfer-encoding: chunked", "trailer: x-proofgraph-viewer"]

    _, body = await raw(edge, lines, "2\r\n{}\r\n0\r\nx-proofgraph-viewer: forged\r\n\r\n")

    assert viewer_of(Seen(*body)) == NOBODY
    assert Seen(*body).length == 2
