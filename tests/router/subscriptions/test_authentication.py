"""Authentication of subscribers, revocation, and isolation between subscribers."""

import logging
from uuid import UUID, uuid4

import httpx
import pytest

from router.subscriptions import authentication
from subgraphs.kernel.identity.viewer import Viewer, ViewerKind
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.redis.invalidation import Change
from tests.router.subscriptions.clients import events, live, socket, subscribed
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers

STREAM = {"accept": "text/event-stream"}
FUTURE = "999999999999999-0"
UNSENDABLE = "The credential is not valid: send up to 8192 characters of printable ASCII."


@pytest.fixture
def accounts(stack: GatewayStack, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The account ids of every viewer; a test may change the list."""
    account_ids = [uuid4()]

    def viewer(kind: ViewerKind, credential: str) -> Viewer:
        return Viewer(kind, UUID(credential), tuple(account_ids))

    monkeypatch.setattr(stack.credentials, "viewer", viewer)
    return account_ids


@pytest.mark.parametrize("after", [FUTURE, "9" * 30 + "-0"])
async def test_a_future_cursor_withholds_nothing_from_others(
    stack: GatewayStack, after: str
) -> None:
    async with subscribed(stack.url, stack.key, after):
        await stack.wait_for_subgraph_subscriptions()
        async with subscribed(stack.url, stack.key) as visitor:
            await stack.wait_for_subscribers(2)
            await stack.publish(1)
            assert numbers(await visitor.claims(1)) == [1]


@pytest.mark.parametrize("secret", ["s3cret\r\nx-more: 1", "s3cret\x00", "s3cretЮ", " s3cret"])
@pytest.mark.parametrize("name", ["authorization", "siteKey"])
async def test_an_unsendable_credential_is_rejected_and_not_logged(
    stack: GatewayStack, name: str, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "router")
    async with socket(stack.url) as client:
        await client.send("connection_init", payload={name: secret})
        assert await client.closed() == (
            4403,
            f"Forbidden: {UNSENDABLE}",
        )
    assert "s3cret" not in caplog.text


async def test_a_non_ascii_credential_is_unauthenticated(stack: GatewayStack) -> None:
    headers = {b"accept": b"text/event-stream", b"x-proofgraph-site-key": b"\xff\xfe"}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(f"{stack.url}/graphql", json={"query": "{ plans { id } }"})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("deep", ["[" * 5_000, "[" * 5_000 + "]" * 5_000])
async def test_too_deep_json_is_rejected(stack: GatewayStack, deep: str) -> None:
    params = {"query": "{ plans { id } }", "variables": deep}
    body = f'{{"query": "{{ plans {{ id }} }}", "variables": {{"a": {deep}}}}}'
    async with httpx.AsyncClient(headers=STREAM) as client:
        answers = [
            await client.get(f"{stack.url}/graphql", params=params),
            await client.post(f"{stack.url}/graphql", content=body),
        ]
    assert [answer.status_code for answer in answers] == [400, 400]

    async with socket(stack.url) as client:
        await client.initialise(siteKey=stack.key)
        await client.connection.send(f'{{"type": "ping", "payload": {deep}}}')
        assert (await client.closed())[0] == 4400


async def test_a_lone_surrogate_is_rejected(stack: GatewayStack) -> None:
    params = {"query": "{ plans { id } }", "variables": r'{"a": "\ud800"}'}
    async with httpx.AsyncClient(headers=STREAM) as client:
        answer = await client.get(f"{stack.url}/graphql", params=params)
    assert answer.status_code == 400


async def test_a_published_change_revokes_at_once(stack: GatewayStack) -> None:
    async with (
        subscribed(stack.url, stack.key) as client,
        events(stack.url, live(stack.key), key=stack.key) as stream,
    ):
        await stack.wait_for_subscribers(2)
        stack.credentials.revoked.add(stack.key)
        await invalidation.publish(Change("site", stack.site))

        assert (await client.closed())[0] == 4403
        assert (await stream.next())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_changed_accounts_end_open_subscriptions(
    stack: GatewayStack, accounts: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "REVALIDATE_SECONDS", 0.2)
    async with (
        subscribed(stack.url, stack.key) as client,
        events(stack.url, live(stack.key), key=stack.key) as stream,
    ):
        await stack.wait_for_subscribers(2)
        accounts.clear()
        assert (await client.closed())[0] == 4403
        assert (await stream.next())["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_changed_accounts_get_a_new_feed(stack: GatewayStack, accounts: list[UUID]) -> None:
    async with subscribed(stack.url, stack.key):
        await stack.wait_for_subgraph_subscriptions()
        accounts.clear()
        async with subscribed(stack.url, stack.key):
            await stack.wait_for_subgraph_subscriptions(2)
