"""Envoy's routes: which upstream receives a request."""

import httpx
import pytest
import websockets

from tests.router.echo import raw, read, received


@pytest.mark.parametrize(
    ("method", "path", "app"),
    [
        ("POST", "/graphql", "router"),
        ("GET", "/graphql?query=%7B__typename%7D", "router"),
        ("POST", "/v1/events", "ingest"),
        ("POST", "/hooks/shopify/1", "inbox"),
        ("GET", "/graphiql", "pages"),
        ("GET", "/graphiql/", "pages"),
        ("GET", "/graphiql/assets/a.js", "pages"),
        ("GET", "/demo", "pages"),
        ("GET", "/demo/shop.html", "pages"),
        ("GET", "/snippet/proofgraph.js", "pages"),
        ("GET", "/", "pages"),
        ("POST", "/demo/order", "pages"),
    ],
)
async def test_each_path_is_routed_to_its_upstream(
    client: httpx.AsyncClient, method: str, path: str, app: str
) -> None:
    there = received(await client.request(method, path))

    assert (there.app, there.method, there.path) == (app, method, path.partition("?")[0])


@pytest.mark.parametrize(
    ("accept", "app"),
    [
        ("text/event-stream", "live"),
        ("Text/Event-Stream; charset=utf-8", "live"),
        ("text/event-stream, multipart/mixed", "live"),
        ("application/json, text/event-stream, multipart/mixed", "router"),
        ("application/graphql-response+json, text/event-stream", "router"),
        ("*/*", "router"),
    ],
)
async def test_accepting_only_event_streams_routes_to_the_subscription_gateway(
    client: httpx.AsyncClient, accept: str, app: str
) -> None:
    answer = await client.post("/graphql", headers={"accept": accept}, json={})

    assert (received(answer).app, received(answer).length) == (app, 2)


async def test_a_websocket_is_routed_to_the_subscription_gateway(edge: str) -> None:
    address = edge.replace("http", "ws") + "/graphql"
    async with websockets.connect(address, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        there = read(str(await socket.recv()))

    assert (there.app, there.method, there.path) == ("live", "WEBSOCKET", "/graphql")


@pytest.mark.parametrize("path", ["/v1/events", "/hooks/shopify/1", "/demo/shop.html"])
async def test_no_other_path_accepts_websockets(edge: str, path: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(edge.replace("http", "ws") + path):
            pass

    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/graphql/", "/graphqlx", "/graphql/x", "/GraphQL", "/v1/events/1", "/hooks", "/demox"],
)
async def test_unknown_paths_return_404(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"error": {"code": "NOT_FOUND", "message": "No such path."}}


async def test_healthz_is_answered_by_envoy(client: httpx.AsyncClient) -> None:
    answer = await client.get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok")


@pytest.mark.parametrize(
    ("target", "app", "path"),
    [
        ("//graphql", "router", "/graphql"),
        ("///graphql", "router", "/graphql"),
        ("/hooks//shopify///1", "inbox", "/hooks/shopify/1"),
        ("/./graphql", "router", "/graphql"),
        ("/graphql/../hooks/shopify/1", "inbox", "/hooks/shopify/1"),
        ("/hooks/../graphql", "router", "/graphql"),
        ("/hooks/%2e%2e/graphql", "router", "/graphql"),
        ("/hooks/%2E%2E/graphql", "router", "/graphql"),
        ("/demo/../../../graphql", "router", "/graphql"),
        ("http://elsewhere.test/graphql", "router", "/graphql"),
    ],
)
async def test_paths_are_normalised_before_routing(
    edge: str, target: str, app: str, path: str
) -> None:
    status, body = await raw(edge, [f"POST {target} HTTP/1.1", "content-length: 0"])

    assert (status, body[0], body[2]) == (200, app, path)


@pytest.mark.parametrize(
    "target",
    [
        "/graphql%2f",
        "/hooks%2F..%2Fgraphql",
        "/hooks/..%5cgraphql",
        "/graphql%00",
        "/graphql#hooks",
        "graphql",
    ],
)
async def test_ambiguous_paths_are_rejected(edge: str, target: str) -> None:
    status, body = await raw(edge, [f"POST {target} HTTP/1.1", "content-length: 0"])

    assert (status, body["error"]["code"]) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "lines",
    [
        ["POST /graphql HTTP/1.1", "content-length: 0", "content-length: 5"],
        ["POST /graphql HTTP/1.1", "content-length: 5", "transfer-encoding: chunked"],
        ["POST /graphql HTTP/1.1", "content-length: 0", *(f"x-{n}: 1" for n in range(101))],
        ["nonsense"],
    ],
)
async def test_malformed_requests_are_rejected(edge: str, lines: list[str]) -> None:
    status, body = await raw(edge, lines)

    assert status in (400, 431)
    [error] = body.get("errors") or [body["error"]]
    assert error.get("extensions", error)["code"] == "BAD_USER_INPUT"
