"""Case 14: idle connections behind proxies, sleeping phones, and the return of all at once."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from starlette.datastructures import Headers

from router.subscriptions import sse, ws
from subgraphs.kernel.identity.viewer import Viewer
from tests.fixtures.deadline import eventually
from tests.fixtures.network_proxy import proxy_to
from tests.router.subscriptions.clients import events, live, socket, subscribed
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers

VISITORS = 300


def test_pings_come_more_often_than_proxies_cut_and_find_the_dead_in_time() -> None:
    assert max(ws.PING_SECONDS, sse.KEEP_ALIVE_SECONDS) <= 30  # many proxies cut after 60 s
    assert 2 * ws.PING_SECONDS <= 45


async def test_a_proxy_that_cuts_idle_connections_cuts_none(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "PING_SECONDS", 0.5)
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.5)
    async with (
        proxy_to(stack.ports["gateway"], idle_seconds=3) as proxy,
        subscribed(proxy.url, stack.key) as client,
        events(proxy.url, live(stack.key), key=stack.key) as stream,
    ):
        await stack.wait_for_subscribers(2)
        await asyncio.sleep(8)
        await stack.publish(1)
        assert numbers(await client.claims(1)) == [1]
        assert numbers(await stream.claims(1)) == [1]
        assert proxy.cut_while_idle == 0


async def test_a_client_that_vanished_is_dropped_and_resumes(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "PING_SECONDS", 0.5)
    async with (
        proxy_to(stack.ports["gateway"]) as proxy,
        subscribed(proxy.url, stack.key) as sleeping,
    ):
        await stack.wait_for_subscribers(1)
        await stack.publish(1)
        (claim,) = await sleeping.claims(1)
        proxy.freeze()
        await eventually(stack.subscriber_count, lambda count: count == 0, seconds=5)
        await stack.publish(2, 3)
        async with subscribed(proxy.url, stack.key, claim["cursor"]) as awake:
            assert numbers(await awake.claims(2)) == [2, 3]


async def test_visitors_that_return_at_once_share_their_authentication(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = 0
    authenticate = stack.credentials.authenticate

    async def counted(headers: Headers) -> Viewer:
        nonlocal checks
        checks += 1
        return await authenticate(headers)

    monkeypatch.setattr(stack.credentials, "authenticate", counted)
    async with AsyncExitStack() as clients:
        opening = (clients.enter_async_context(socket(stack.url)) for _ in range(VISITORS))
        opened = await asyncio.gather(*opening)
        checks = 0
        await asyncio.gather(*(client.initialise(siteKey=stack.key) for client in opened))

    assert 0 < checks < VISITORS / 10
