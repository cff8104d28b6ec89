"""The subscription gateway between a real authz and a small subgraph, on a real Valkey."""

from collections.abc import AsyncIterator

import pytest

from subgraphs.kernel import live, redis
from subgraphs.kernel.config import settings
from tests.fixtures.keys import PUBLIC
from tests.fixtures.valkey import Valkey
from tests.router.subscriptions.gateway_stack import GatewayStack


@pytest.fixture
async def stack(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewayStack]:
    """All services running; the process's environment points at them until the test ends."""
    await live.dispose()
    await redis.dispose()
    made = GatewayStack(valkey)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VIEWER_VERIFY_KEY", PUBLIC)
    settings.cache_clear()
    async with made:
        yield made
    await live.dispose()
    await redis.dispose()
    monkeypatch.undo()
    settings.cache_clear()
