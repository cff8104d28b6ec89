"""GraphQL over Server-Sent Events: one request, one stream."""

import json
import socket
from typing import Any

import httpx
import pytest

from router.subscriptions import authentication, client_connection, http_connection, sse
from tests.fixtures.deadline import eventually
from tests.router.subscriptions import claims_subgraph
from tests.router.subscriptions.clients import SECONDS, Events, events, live
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers


async def test_claims_arrive_as_they_are_published(stack: GatewayStack) -> None:
    async with events(stack.url, live(stack.key), key=stack.key) as stream:
        assert stream.answer.status_code == 200
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-cache, no-transform"
        await stack.wait_for_subgraph_subscriptions()

        await stack.publish(1, 2)

        claims = await stream.claims(2)
        assert numbers(claims) == [1, 2]
        assert set(claims[0]) == {"text", "cursor"}


async def test_a_get_request_resumes(stack: GatewayStack) -> None:
    first, *_ = await stack.publish(1, 2, 3)
    payload = live(stack.key, after=first)
    query = {"query": payload["query"], "variables": json.dumps(payload["variables"])}
    headers = {"accept": "text/event-stream", "x-proofgraph-site-key": stack.key}
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("GET", f"{stack.url}/graphql", params=query, headers=headers) as answer,
    ):
        assert numbers(await Events(answer).claims(2)) == [2, 3]


async def test_idle_streams_get_keep_alive_comments(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.1)
    async with events(stack.url, live(stack.key), key=stack.key) as stream:
        for _ in range(4):
            assert await stream.receive() == ("", None)
        await stack.publish(1)
        assert numbers(await stream.claims(1)) == [1]


async def test_an_error_is_sent_and_the_stream_completes(stack: GatewayStack) -> None:
    async with events(stack.url, {"query": "subscription { nope }"}) as stream:
        answer = await stream.next()
        assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}
        assert await stream.receive() == ("complete", None)
        assert await stream.receive() == ("end", None)


async def test_another_sites_claims_are_not_found(stack: GatewayStack) -> None:
    other = live("01890000-0000-7000-8000-000000000001")
    async with events(stack.url, other, key=stack.key) as stream:
        answer = await stream.next()
        assert answer["errors"][0]["extensions"] == {"code": "NOT_FOUND"}


async def test_a_query_is_sent_to_the_router(stack: GatewayStack) -> None:
    async with events(stack.url, {"query": "{ plans { id } }"}, key=stack.key) as stream:
        assert await stream.next() == {"data": {"plans": []}}
        assert await stream.receive() == ("complete", None)


async def test_a_bad_credential_is_unauthenticated(stack: GatewayStack) -> None:
    async with events(stack.url, live(stack.key), key="nobody's") as stream:
        await stream.answer.aread()
        assert stream.answer.status_code == 401
        assert stream.answer.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"query":7}', b'{"query":"{a}","variables":[]}']
)
async def test_an_invalid_body_is_rejected(stack: GatewayStack, content: bytes) -> None:
    async with httpx.AsyncClient() as client:
        headers = {"accept": "text/event-stream"}
        answer = await client.post(f"{stack.url}/graphql", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_a_body_over_the_limit_is_rejected(stack: GatewayStack) -> None:
    payload = {"query": "{ plans { id } }", "variables": {"large": "x" * http_connection.MAX_BODY}}
    async with events(stack.url, payload) as stream:
        assert stream.answer.status_code == 400


async def test_a_missing_accept_header_is_a_406(stack: GatewayStack) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{stack.url}/graphql", json=live(stack.key))
    assert answer.status_code == 406
    assert "text/event-stream" in answer.json()["errors"][0]["message"]


async def test_a_get_request_runs_no_mutation(stack: GatewayStack) -> None:
    headers = {"accept": "text/event-stream"}
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        query = {"query": "mutation { logOut }"}
        await client.get(f"{stack.url}/graphql", params=query, headers=headers)
    assert stack.router.requests == []


async def test_the_last_subscriber_closes_the_feed(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.subscriptions.feed_registry.LINGER_SECONDS", 0.1)
    async with events(stack.url, live(stack.key), key=stack.key):
        await stack.wait_for_subgraph_subscriptions(1)
    await stack.wait_for_subgraph_subscriptions(0)
    assert len(claims_subgraph.requested_after) == 1


async def test_a_revoked_credential_ends_the_stream(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "REVALIDATE_SECONDS", 0.2)
    async with events(stack.url, live(stack.key), key=stack.key) as stream:
        await stack.wait_for_subgraph_subscriptions()
        stack.credentials.revoked.add(stack.key)
        answer: Any = await stream.next()
        assert answer["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
        assert await stream.receive() == ("complete", None)


async def test_a_stalled_stream_is_ended(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_connection, "STALL_SECONDS", 0.5)
    body = json.dumps(live(stack.key)).encode()
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", stack.ports["gateway"]))
        stalled.sendall(
            b"POST /graphql HTTP/1.1\r\nHost: gateway\r\nAccept: text/event-stream\r\n"
            + f"X-Proofgraph-Site-Key: {stack.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await stack.wait_for_subgraph_subscriptions()
        async with events(stack.url, live(stack.key), key=stack.key) as reading:
            await stack.wait_for_subscribers(2)
            for number in range(0, 3_000, 125):  # 12 MB: more than the sockets hold
                await stack.publish(*range(number, number + 125), size=4_000)
                await reading.claims(125)

            await eventually(stack.subscriber_count, lambda count: count == 1, seconds=5)
            assert len(claims_subgraph.requested_after) == 1
