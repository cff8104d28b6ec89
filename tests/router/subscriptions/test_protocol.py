"""graphql-transport-ws, message by message."""

import asyncio
import json

import pytest

from router.subscriptions import authentication, websocket_frames, ws
from subgraphs.kernel.identity.viewer import VIEWER_HEADER, ViewerKind, ViewerVerifier
from tests.fixtures.keys import PUBLIC
from tests.router.subscriptions import claims_subgraph
from tests.router.subscriptions.clients import FIELDS, live, socket, subscribed
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers


async def test_a_result_has_the_clients_aliases(stack: GatewayStack) -> None:
    query = 'subscription { claim: liveNotifications(siteKey: "%s") { words: text id } }'
    async with socket(stack.url) as client:
        await client.initialise(siteKey=stack.key)
        await client.send("subscribe", id="a/1", payload={"query": query % stack.key})
        await stack.wait_for_subgraph_subscriptions()

        await stack.publish(7)

        assert await client.receive() == {
            "id": "a/1",
            "type": "next",
            "payload": {
                "data": {"claim": {"words": "7", "id": "00000000-0000-0000-0000-000000000007"}}
            },
        }


async def test_a_credential_in_the_headers_is_accepted(stack: GatewayStack) -> None:
    async with socket(stack.url, headers={"x-proofgraph-site-key": stack.key}) as client:
        await client.initialise()
        await client.send("subscribe", id="1", payload=live(stack.key))
        await stack.wait_for_subgraph_subscriptions()
        await stack.publish(1)
        assert numbers(await client.claims(1)) == [1]


async def test_a_forged_viewer_header_is_ignored(stack: GatewayStack) -> None:
    async with socket(stack.url, headers={VIEWER_HEADER: "mine"}) as client:
        await client.initialise()
        await client.send("subscribe", id="1", payload=live(stack.key))
        message = await client.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == (
            "error",
            "NOT_FOUND",
        )


async def test_a_ping_is_answered_before_and_after_initialisation(stack: GatewayStack) -> None:
    async with socket(stack.url) as client:
        await client.send("ping")
        assert await client.receive() == {"type": "pong"}
        await client.initialise(siteKey=stack.key)
        await client.send("pong")
        await client.send("ping", payload={"any": "thing"})
        assert await client.receive() == {"type": "pong"}


async def test_a_completed_id_can_be_reused(stack: GatewayStack) -> None:
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await client.send("complete", id="1")
        await stack.publish(1)
        await asyncio.sleep(0.2)
        await client.send("ping")
        assert await client.receive() == {"type": "pong"}

        await client.send("subscribe", id="1", payload=live(stack.key))
        await asyncio.sleep(0.2)
        await stack.publish(2)
        assert numbers(await client.claims(1)) == [2]


async def test_a_reused_id_can_be_completed(
    stack: GatewayStack,
) -> None:
    first, *_ = await stack.publish(1, 2)
    async with subscribed(stack.url, stack.key), socket(stack.url) as client:
        await stack.wait_for_subgraph_subscriptions(1)
        await client.initialise(siteKey=stack.key)
        await client.send("subscribe", id="1", payload=live(stack.key, after=first))
        assert numbers(await client.claims(1)) == [2]  # from a replay feed

        await client.send("complete", id="1")
        await client.send("subscribe", id="1", payload=live(stack.key))
        await asyncio.sleep(0.2)

        await client.send("complete", id="1")
        await asyncio.sleep(0.2)
        await stack.publish(3)
        await asyncio.sleep(0.2)

        await client.send("ping")
        assert await client.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        '{"type":"subscribe"}',
        '{"type":"subscribe","id":"1"}',
        '{"type":"subscribe","id":"1","payload":{"query":7}}',
        '{"type":"start","id":"1"}',
        json.dumps({"type": "ping", "payload": {"large": "x" * ws.MAX_MESSAGE}}),
        b'{"type":"ping"}',
    ],
)
async def test_an_invalid_message_closes_the_connection(
    stack: GatewayStack, text: str | bytes
) -> None:
    async with socket(stack.url) as client:
        await client.initialise()
        await client.connection.send(text)
        assert (await client.closed())[0] == 4400


async def test_subscribing_before_initialisation_is_unauthorised(stack: GatewayStack) -> None:
    async with socket(stack.url) as client:
        await client.send("subscribe", id="1", payload=live(stack.key))
        assert await client.closed() == (4401, "Unauthorized")


async def test_a_second_initialisation_closes_the_connection(stack: GatewayStack) -> None:
    async with socket(stack.url) as client:
        await client.initialise()
        await client.send("connection_init")
        assert await client.closed() == (4429, "Too many initialisation requests")


async def test_a_duplicate_id_closes_the_connection(stack: GatewayStack) -> None:
    async with subscribed(stack.url, stack.key) as client:
        await client.send("subscribe", id="1", payload=live(stack.key))
        assert await client.closed() == (4409, "Subscriber for 1 already exists")


async def test_a_long_close_reason_is_cut_to_the_protocols_limit(stack: GatewayStack) -> None:
    id_ = "x" * 500
    async with subscribed(stack.url, stack.key) as client:
        for _ in range(2):
            await client.send("subscribe", id=id_, payload=live(stack.key))
        code, reason = await client.closed()
    assert code == 4409
    assert reason == f"Subscriber for {id_}"[: websocket_frames.MAX_REASON_BYTES]


async def test_a_silent_client_times_out(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "INIT_SECONDS", 0.2)
    async with socket(stack.url) as client:
        assert await client.closed() == (4408, "Connection initialisation timeout")


async def test_a_stopping_server_asks_clients_to_connect_again(stack: GatewayStack) -> None:
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subscribers(1)
        stopping = asyncio.create_task(stack.stop("gateway"))
        assert await client.closed() == (1012, "The server restarts; connect again")
        await stopping


async def test_a_message_may_come_in_fragments(stack: GatewayStack) -> None:
    async with socket(stack.url) as client:
        await client.connection.send(['{"type":', '"pi', 'ng"}'])
        assert await client.receive() == {"type": "pong"}


@pytest.mark.parametrize("protocol", ["graphql-ws", None])
async def test_another_or_no_subprotocol_is_closed_with_a_reason(
    stack: GatewayStack, protocol: str | None
) -> None:
    async with socket(stack.url, protocol=protocol) as client:
        assert client.connection.subprotocol == protocol  # or a browser hides the reason
        code, reason = await client.closed()
    assert code == 4406
    assert "offer graphql-transport-ws" in reason


@pytest.mark.parametrize(
    "name", ["siteKey", "SITEKEY", "sitekey", "SiteKey", "site_key", "X-Proofgraph-Site-Key"]
)
async def test_a_site_key_may_be_named_in_any_case(stack: GatewayStack, name: str) -> None:
    async with socket(stack.url) as client:
        await client.initialise(**{name: stack.key})
        await client.send("subscribe", id="1", payload=live(stack.key))
        await stack.wait_for_subgraph_subscriptions()


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
async def test_an_authorization_may_be_named_in_any_case(stack: GatewayStack, name: str) -> None:
    async with socket(stack.url) as client:
        await client.send("connection_init", payload={name: "Bearer nobody"})
        assert await client.closed() == (4403, "Forbidden: This credential does not exist.")


@pytest.mark.parametrize("payload", [{"siteKey": "nobody's"}, {"authorization": "Bearer no"}])
async def test_a_bad_credential_is_forbidden(stack: GatewayStack, payload: dict[str, str]) -> None:
    async with socket(stack.url) as client:
        await client.send("connection_init", payload=payload)
        assert await client.closed() == (4403, "Forbidden: This credential does not exist.")


async def test_a_revoked_credential_closes_the_connection(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "REVALIDATE_SECONDS", 0.2)
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        stack.credentials.revoked.add(stack.key)
        assert (await client.closed())[0] == 4403


async def test_an_authz_outage_closes_no_connection(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "REVALIDATE_SECONDS", 0.1)
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await stack.stop("authz")
        await asyncio.sleep(0.5)
        await stack.publish(1)
        assert numbers(await client.claims(1)) == [1]


async def test_an_invalid_operation_is_an_error_and_keeps_the_connection(
    stack: GatewayStack,
) -> None:
    async with socket(stack.url) as client:
        await client.initialise(siteKey=stack.key)
        await client.send("subscribe", id="1", payload={"query": "subscription { nope }"})
        message = await client.receive()
        assert (message["id"], message["type"]) == ("1", "error")
        assert message["payload"][0]["extensions"] == {"code": "BAD_USER_INPUT"}

        assert claims_subgraph.requested_after == []


@pytest.mark.parametrize("variables", [{}, {"k": 7}, {"k": None}])
async def test_an_invalid_variable_is_an_error(
    stack: GatewayStack, variables: dict[str, object]
) -> None:
    async with socket(stack.url) as client:
        await client.initialise(siteKey=stack.key)
        payload = {**live(stack.key), "variables": variables}
        await client.send("subscribe", id="1", payload=payload)
        message = await client.receive()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_another_sites_claims_are_not_found(stack: GatewayStack) -> None:
    async with subscribed(stack.url, stack.key) as client:
        other = live("01890000-0000-7000-8000-000000000001")
        await client.send("subscribe", id="2", payload=other)
        message = await client.receive()
        assert (message["id"], message["type"]) == ("2", "error")
        assert message["payload"][0]["extensions"] == {"code": "NOT_FOUND"}


async def test_queries_are_sent_to_the_router_with_the_viewer(stack: GatewayStack) -> None:
    query = {"query": "query P { plans { id } }", "operationName": "P"}
    async with socket(stack.url) as client:
        await client.initialise(siteKey=stack.key)
        await client.send("subscribe", id="q", payload=query)
        message = await client.receive()
        assert message == {"id": "q", "type": "next", "payload": {"data": {"plans": []}}}
        assert await client.receive() == {"id": "q", "type": "complete"}

        assert stack.router.requests[0]["query"] == query["query"]
        assert stack.router.requests[0]["operationName"] == "P"
        viewer = ViewerVerifier(PUBLIC).verify({VIEWER_HEADER: stack.router.viewers[0]})
        assert (viewer.kind, viewer.id) == (ViewerKind.SITE, stack.site)

        await stack.stop("router")
        await client.send("subscribe", id="q", payload=query)
        message = await client.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == (
            "error",
            "UNAVAILABLE",
        )


async def test_too_many_operations_close_the_connection(stack: GatewayStack) -> None:
    async with socket(stack.url) as client:
        await client.initialise(siteKey=stack.key)
        for number in range(ws.MAX_OPERATIONS + 1):
            payload = live(stack.key, fields=FIELDS)
            await client.send("subscribe", id=str(number), payload=payload)
        assert (await client.closed())[0] == 4429
