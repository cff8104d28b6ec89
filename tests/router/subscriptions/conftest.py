"""The live door between a real authz and a little subgraph on a real Valkey."""

from collections.abc import AsyncIterator

import pytest

from subgraphs.kernel import live, redis
from subgraphs.kernel.config import settings
from tests.fixtures.keys import PUBLIC
from tests.fixtures.valkey import Valkey
from tests.router.subscriptions.world import World


@pytest.fixture
async def world(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Everything up; its settings are this process's environment meanwhile."""
    await live.dispose()
    await redis.dispose()
    made = World(valkey)
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
