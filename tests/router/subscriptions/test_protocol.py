"""graphql-transport-ws, word for word."""

import asyncio
import json

import pytest

from router.subscriptions import ws
from subgraphs.kernel.identity.viewer import VIEWER_HEADER, ViewerKind, ViewerVerifier
from tests.fixtures.keys import PUBLIC
from tests.router.subscriptions import owner
from tests.router.subscriptions.clients import FIELDS, following, live, socket
from tests.router.subscriptions.world import World, numbers


async def test_a_claim_arrives_as_it_was_asked_for(world: World) -> None:
    query = 'subscription { claim: liveNotifications(siteKey: "%s") { words: text id } }'
    async with socket(world.url) as client:
        await client.greet(siteKey=world.key)
        await client.say("subscribe", id="a/1", payload={"query": query % world.key})
        await world.followed()

        await world.publish(7)

        assert await client.hear() == {
            "id": "a/1",
            "type": "next",
            "payload": {
                "data": {"claim": {"words": "7", "id": "00000000-0000-0000-0000-000000000007"}}
            },
        }


async def test_a_credential_in_the_headers_does_as_well(world: World) -> None:
    async with socket(world.url, headers={"x-proofgraph-site-key": world.key}) as client:
        await client.greet()
        await client.say("subscribe", id="1", payload=live(world.key))
        await world.followed()
        await world.publish(1)
        assert numbers(await client.claims(1)) == [1]


async def test_a_viewer_of_the_clients_own_is_nothing(world: World) -> None:
    async with socket(world.url, headers={VIEWER_HEADER: "mine"}) as client:
        await client.greet()
        await client.say("subscribe", id="1", payload=live(world.key))
        heard = await client.hear()
        assert (heard["type"], heard["payload"][0]["extensions"]["code"]) == ("error", "NOT_FOUND")


async def test_a_ping_is_answered_before_and_after_the_greeting(world: World) -> None:
    async with socket(world.url) as client:
        await client.say("ping")
        assert await client.hear() == {"type": "pong"}
        await client.greet(siteKey=world.key)
        await client.say("pong")
        await client.say("ping", payload={"any": "thing"})
        assert await client.hear() == {"type": "pong"}


async def test_what_is_completed_says_no_more_and_its_id_is_free_again(world: World) -> None:
    async with following(world.url, world.key) as client:
        await world.followed()
        await client.say("complete", id="1")
        await world.publish(1)
        await asyncio.sleep(0.2)
        await client.say("ping")
        assert await client.hear() == {"type": "pong"}

        await client.say("subscribe", id="1", payload=live(world.key))
        await asyncio.sleep(0.2)
        await world.publish(2)
        assert numbers(await client.claims(1)) == [2]


async def test_an_id_used_again_while_the_first_operation_ends_can_be_completed(
    world: World,
) -> None:
    first, *_ = await world.publish(1, 2)
    async with following(world.url, world.key), socket(world.url) as client:
        await world.followed(1)
        await client.greet(siteKey=world.key)
        await client.say("subscribe", id="1", payload=live(world.key, after=first))
        assert numbers(await client.claims(1)) == [2]  # from a connection of its own to the owner

        await client.say("complete", id="1")
        await client.say("subscribe", id="1", payload=live(world.key))
        await asyncio.sleep(0.2)

        await client.say("complete", id="1")
        await asyncio.sleep(0.2)
        await world.publish(3)
        await asyncio.sleep(0.2)

        await client.say("ping")
        assert await client.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    "said",
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
async def test_what_is_no_message_ends_the_connection(world: World, said: str | bytes) -> None:
    async with socket(world.url) as client:
        await client.greet()
        await client.connection.send(said)
        assert (await client.closed())[0] == 4400


async def test_subscribing_before_the_greeting_is_unauthorised(world: World) -> None:
    async with socket(world.url) as client:
        await client.say("subscribe", id="1", payload=live(world.key))
        assert await client.closed() == (4401, "Unauthorized")


async def test_one_greeting_is_enough(world: World) -> None:
    async with socket(world.url) as client:
        await client.greet()
        await client.say("connection_init")
        assert await client.closed() == (4429, "Too many initialisation requests")


async def test_an_id_stands_for_one_operation(world: World) -> None:
    async with following(world.url, world.key) as client:
        await client.say("subscribe", id="1", payload=live(world.key))
        assert await client.closed() == (4409, "Subscriber for 1 already exists")


async def test_who_says_nothing_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws, "INIT_SECONDS", 0.2)
    async with socket(world.url) as client:
        assert await client.closed() == (4408, "Connection initialisation timeout")


async def test_another_protocol_is_not_spoken(world: World) -> None:
    with pytest.raises(Exception, match="403"):
        async with socket(world.url, protocol="graphql-ws"):
            pass


@pytest.mark.parametrize("payload", [{"siteKey": "nobody's"}, {"authorization": "Bearer no"}])
async def test_a_bad_credential_is_forbidden(world: World, payload: dict[str, str]) -> None:
    async with socket(world.url) as client:
        await client.say("connection_init", payload=payload)
        assert await client.closed() == (4403, "Forbidden: This credential is not known.")


async def test_a_credential_that_is_taken_away_ends_the_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "VOUCH_SECONDS", 0.2)
    async with following(world.url, world.key) as client:
        await world.followed()
        world.people.refused.add(world.key)
        assert (await client.closed())[0] == 4403


async def test_an_authz_that_is_away_costs_nobody_the_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "VOUCH_SECONDS", 0.1)
    async with following(world.url, world.key) as client:
        await world.followed()
        await world.stop("authz")
        await asyncio.sleep(0.5)
        await world.publish(1)
        assert numbers(await client.claims(1)) == [1]


async def test_what_does_not_fit_is_an_error_and_the_connection_stays(world: World) -> None:
    async with socket(world.url) as client:
        await client.greet(siteKey=world.key)
        await client.say("subscribe", id="1", payload={"query": "subscription { nope }"})
        heard = await client.hear()
        assert (heard["id"], heard["type"]) == ("1", "error")
        assert heard["payload"][0]["extensions"] == {"code": "BAD_USER_INPUT"}

        query = 'subscription { liveNotifications(siteKey: "k") { site { name } } }'
        await client.say("subscribe", id="1", payload={"query": query})
        heard = await client.hear()
        assert "ask for it with a query" in heard["payload"][0]["message"]
        assert owner.asked == []


@pytest.mark.parametrize("variables", [{}, {"k": 7}, {"k": None}])
async def test_a_variable_that_does_not_fit_is_an_error(
    world: World, variables: dict[str, object]
) -> None:
    async with socket(world.url) as client:
        await client.greet(siteKey=world.key)
        payload = {**live(world.key), "variables": variables}
        await client.say("subscribe", id="1", payload=payload)
        heard = await client.hear()
        assert heard["type"] == "error"
        assert heard["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_another_sites_claims_are_not_there(world: World) -> None:
    async with following(world.url, world.key) as client:
        other = live("01890000-0000-7000-8000-000000000001")
        await client.say("subscribe", id="2", payload=other)
        heard = await client.hear()
        assert (heard["id"], heard["type"]) == ("2", "error")
        assert heard["payload"][0]["extensions"] == {"code": "NOT_FOUND"}


async def test_queries_go_to_the_router_with_the_viewer(world: World) -> None:
    query = {"query": "query P { plans { id } }", "operationName": "P"}
    async with socket(world.url) as client:
        await client.greet(siteKey=world.key)
        await client.say("subscribe", id="q", payload=query)
        heard = await client.hear()
        assert heard == {"id": "q", "type": "next", "payload": {"data": {"plans": []}}}
        assert await client.hear() == {"id": "q", "type": "complete"}

        assert world.router.came[0]["query"] == query["query"]
        assert world.router.came[0]["operationName"] == "P"
        viewer = ViewerVerifier(PUBLIC).verify({VIEWER_HEADER: world.router.viewers[0]})
        assert (viewer.kind, viewer.id) == (ViewerKind.SITE, world.site)

        await world.stop("router")
        await client.say("subscribe", id="q", payload=query)
        heard = await client.hear()
        assert (heard["type"], heard["payload"][0]["extensions"]["code"]) == (
            "error",
            "UNAVAILABLE",
        )


async def test_one_connection_has_so_many_operations(world: World) -> None:
    async with socket(world.url) as client:
        await client.greet(siteKey=world.key)
        for number in range(ws.MAX_OPERATIONS + 1):
            payload = live(world.key, fields=FIELDS)
            await client.say("subscribe", id=str(number), payload=payload)
        assert (await client.closed())[0] == 4429
