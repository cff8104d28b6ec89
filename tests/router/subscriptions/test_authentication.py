"""Who follows, for how long, and what one follower may do to the others."""

import logging
from uuid import UUID, uuid4

import httpx
import pytest

from router.subscriptions import sse, ws
from subgraphs.kernel.identity.viewer import Viewer, ViewerKind
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.redis.invalidation import Change
from tests.router.subscriptions.clients import events, following, live, socket
from tests.router.subscriptions.world import World, numbers

STREAM = {"accept": "text/event-stream"}
FUTURE = "999999999999999-0"


@pytest.fixture
def accounts(world: World, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The accounts that everyone is in just now."""
    are_in = [uuid4()]

    def viewer(kind: ViewerKind, shown: str) -> Viewer:
        return Viewer(kind, UUID(shown), tuple(are_in))

    monkeypatch.setattr(world.people, "_viewer", viewer)
    return are_in


@pytest.mark.parametrize("after", [FUTURE, "9" * 30 + "-0"])
async def test_a_cursor_of_the_future_keeps_nothing_from_the_others(
    world: World, after: str
) -> None:
    async with following(world.url, world.key, after):
        await world.followed()
        async with following(world.url, world.key) as visitor:
            await world.joined(2)
            await world.publish(1)
            assert numbers(await visitor.claims(1)) == [1]


async def test_a_cursor_of_long_ago_shows_the_others_nothing_old(world: World) -> None:
    await world.publish(*range(1, 300))
    async with (
        following(world.url, world.key, "0-0") as historian,
        following(world.url, world.key) as visitor,
    ):
        await world.joined(2)
        await world.publish(300)
        assert numbers(await historian.claims(300)) == list(range(1, 301))
        assert numbers(await visitor.claims(1)) == [300]


@pytest.mark.parametrize("secret", ["s3cret\r\nx-more: 1", "s3cret\x00", "s3cretЮ", " s3cret"])
@pytest.mark.parametrize("name", ["authorization", "siteKey"])
async def test_a_credential_that_no_header_carries_is_refused_and_not_written_down(
    world: World, name: str, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "router")
    async with socket(world.url) as client:
        await client.say("connection_init", payload={name: secret})
        assert await client.closed() == (4403, "Forbidden: The credential is not valid.")
    assert "s3cret" not in caplog.text


async def test_a_header_of_other_than_ascii_is_no_credential(world: World) -> None:
    headers = {b"accept": b"text/event-stream", b"x-proofgraph-site-key": b"\xff\xfe"}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(f"{world.url}/graphql", json={"query": "{ plans { id } }"})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("deep", ["[" * 5_000, "[" * 5_000 + "]" * 5_000])
async def test_json_that_is_too_deep_is_refused(world: World, deep: str) -> None:
    params = {"query": "{ plans { id } }", "variables": deep}
    body = f'{{"query": "{{ plans {{ id }} }}", "variables": {{"a": {deep}}}}}'
    async with httpx.AsyncClient(headers=STREAM) as client:
        answers = [
            await client.get(f"{world.url}/graphql", params=params),
            await client.post(f"{world.url}/graphql", content=body),
        ]
    assert [answer.status_code for answer in answers] == [400, 400]

    async with socket(world.url) as client:
        await client.greet(siteKey=world.key)
        await client.connection.send(f'{{"type": "ping", "payload": {deep}}}')
        assert (await client.closed())[0] == 4400


async def test_a_variable_that_is_no_text_is_refused(world: World) -> None:
    params = {"query": "{ plans { id } }", "variables": r'{"a": "\ud800"}'}
    async with httpx.AsyncClient(headers=STREAM) as client:
        answer = await client.get(f"{world.url}/graphql", params=params)
    assert answer.status_code == 400


async def test_a_stream_ends_when_its_credential_is_taken_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "VOUCH_SECONDS", 0.2)
    async with events(world.url, live(world.key), key=world.key) as stream:
        await world.followed()
        world.people.refused.add(world.key)
        assert (await stream.next())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert await stream.next() is None


async def test_who_logs_out_is_let_go_at_once(world: World) -> None:
    async with (
        following(world.url, world.key) as client,
        events(world.url, live(world.key), key=world.key) as stream,
    ):
        await world.joined(2)
        world.people.refused.add(world.key)
        await invalidation.publish(Change("site", world.site))

        assert (await client.closed())[0] == 4403
        assert (await stream.next())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_who_is_in_other_accounts_than_before_is_let_go(
    world: World, accounts: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "VOUCH_SECONDS", 0.2)
    monkeypatch.setattr(sse, "VOUCH_SECONDS", 0.2)
    async with (
        following(world.url, world.key) as client,
        events(world.url, live(world.key), key=world.key) as stream,
    ):
        await world.joined(2)
        accounts.clear()
        assert (await client.closed())[0] == 4403
        assert (await stream.next())["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_who_is_in_other_accounts_than_before_joins_no_feed_from_before(
    world: World, accounts: list[UUID]
) -> None:
    async with following(world.url, world.key):
        await world.followed()
        accounts.clear()
        async with following(world.url, world.key):
            await world.followed(2)
