"""GraphQL over Server-Sent Events: one request, one stream."""

import json
import socket
from typing import Any

import httpx
import pytest

from router.subscriptions import authentication, sse, ws
from tests.fixtures.deadline import eventually
from tests.router.subscriptions import owner
from tests.router.subscriptions.clients import SECONDS, Events, events, live
from tests.router.subscriptions.world import World, numbers


async def test_claims_arrive_as_they_are_published(world: World) -> None:
    async with events(world.url, live(world.key), key=world.key) as stream:
        assert stream.answer.status_code == 200
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-cache"
        await world.followed()

        await world.publish(1, 2)

        claims = await stream.claims(2)
        assert numbers(claims) == [1, 2]
        assert set(claims[0]) == {"text", "cursor"}


async def test_a_get_does_as_well_and_resumes(world: World) -> None:
    first, *_ = await world.publish(1, 2, 3)
    asked = live(world.key, after=first)
    query = {"query": asked["query"], "variables": json.dumps(asked["variables"])}
    headers = {"accept": "text/event-stream", "x-proofgraph-site-key": world.key}
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("GET", f"{world.url}/graphql", params=query, headers=headers) as answer,
    ):
        assert numbers(await Events(answer).claims(2)) == [2, 3]


async def test_silence_is_broken_by_comments(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.1)
    async with events(world.url, live(world.key), key=world.key) as stream:
        for _ in range(4):
            assert await stream.hear() == ("", None)
        await world.publish(1)
        assert numbers(await stream.claims(1)) == [1]


async def test_a_refusal_is_an_answer_and_then_the_end(world: World) -> None:
    async with events(world.url, {"query": "subscription { nope }"}) as stream:
        answer = await stream.next()
        assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}
        assert await stream.hear() == ("complete", None)
        assert await stream.hear() == ("end", None)


async def test_another_sites_claims_are_not_there(world: World) -> None:
    other = live("01890000-0000-7000-8000-000000000001")
    async with events(world.url, other, key=world.key) as stream:
        answer = await stream.next()
        assert answer["errors"][0]["extensions"] == {"code": "NOT_FOUND"}


async def test_a_query_is_the_routers(world: World) -> None:
    async with events(world.url, {"query": "{ plans { id } }"}, key=world.key) as stream:
        assert await stream.next() == {"data": {"plans": []}}
        assert await stream.hear() == ("complete", None)


async def test_a_bad_credential_is_unauthenticated(world: World) -> None:
    async with events(world.url, live(world.key), key="nobody's") as stream:
        await stream.answer.aread()
        assert stream.answer.status_code == 401
        assert stream.answer.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"query":7}', b'{"query":"{a}","variables":[]}']
)
async def test_what_is_no_request_is_refused(world: World, content: bytes) -> None:
    async with httpx.AsyncClient() as client:
        headers = {"accept": "text/event-stream"}
        answer = await client.post(f"{world.url}/graphql", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_a_large_request_is_refused(world: World) -> None:
    payload = {"query": "{ plans { id } }", "variables": {"large": "x" * sse.MAX_BODY}}
    async with events(world.url, payload) as stream:
        assert stream.answer.status_code == 400


async def test_without_the_accept_header_it_says_what_to_send(world: World) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{world.url}/graphql", json=live(world.key))
    assert answer.status_code == 406
    assert "text/event-stream" in answer.json()["errors"][0]["message"]


async def test_a_get_changes_nothing(world: World) -> None:
    headers = {"accept": "text/event-stream"}
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        query = {"query": "mutation { logOut }"}
        await client.get(f"{world.url}/graphql", params=query, headers=headers)
    assert world.router.came == []


async def test_who_leaves_is_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.subscriptions.hub.LINGER_SECONDS", 0.1)
    async with events(world.url, live(world.key), key=world.key):
        await world.followed(1)
    await world.followed(0)
    assert len(owner.asked) == 1


async def test_a_credential_that_is_taken_away_ends_the_stream(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ws, authentication, sse):
        monkeypatch.setattr(module, "VOUCH_SECONDS", 0.2, raising=False)
    async with events(world.url, live(world.key), key=world.key) as stream:
        await world.followed()
        world.people.refused.add(world.key)
        answer: Any = await stream.next()
        assert answer["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
        assert await stream.hear() == ("complete", None)


async def test_a_stalled_stream_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(sse, "STALL_SECONDS", 0.5, raising=False)
    body = json.dumps(live(world.key)).encode()
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", world.ports["door"]))
        stalled.sendall(
            b"POST /graphql HTTP/1.1\r\nHost: door\r\nAccept: text/event-stream\r\n"
            + f"X-Proofgraph-Site-Key: {world.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await world.followed()
        async with events(world.url, live(world.key), key=world.key) as reading:
            await world.joined(2)
            for number in range(0, 12_000, 500):  # several megabytes: more than the ways hold
                await world.publish(*range(number, number + 500), size=1000)
                await reading.claims(500)

            await eventually(world.followers, lambda count: count == 1, seconds=5)
            assert len(owner.asked) == 1
