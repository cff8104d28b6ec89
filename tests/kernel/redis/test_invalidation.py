"""What one process announces, the others forget; on a real Valkey that goes away in between."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from subgraphs.kernel import redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import Viewer, ViewerKind
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.redis.invalidation import Change
from tests.fixtures.deadline import eventually
from tests.fixtures.valkey import Valkey

USER = Viewer(ViewerKind.USER, new_id(), session_id=new_id())


@pytest.fixture(autouse=True)
async def on_valkey(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    await redis.dispose()
    monkeypatch.setenv("REDIS_URL", valkey.url)
    settings.cache_clear()
    yield
    await redis.dispose()
    monkeypatch.undo()
    settings.cache_clear()


class Told(list[Change | None]):
    """What a cache was told."""

    async def size(self) -> int:
        return len(self)


async def test_all_that_is_announced_reaches_every_cache_in_order() -> None:
    one, other = Told(), Told()
    changes = [Change("session", new_id()), Change("user", new_id()), Change("site", new_id())]
    async with invalidation.subscribed(one.append, other.append):
        await eventually(one.size, lambda count: count == 1)  # what was before is not known

        await invalidation.publish(*changes)

        await eventually(other.size, lambda count: count == 4)
    assert one == other == [None, *changes]


async def test_after_a_gap_everything_is_forgotten(valkey: Valkey) -> None:
    told = Told()
    async with invalidation.subscribed(told.append):
        await eventually(told.size, lambda count: count == 1)

        valkey.kill()
        await invalidation.publish(Change("user", new_id()))  # logged, not raised
        valkey.start()

        await eventually(told.size, lambda count: count == 2)
    assert told == [None, None]


async def test_what_is_not_understood_may_mean_anything() -> None:
    told = Told()
    async with invalidation.subscribed(told.append):
        await eventually(told.size, lambda count: count == 1)
        for message in ("user", "user:x", f"planet:{new_id()}", b"\xff:\xff"):
            await redis.client().publish("changed", message)
        await eventually(told.size, lambda count: count == 5)
    assert told == [None] * 5


async def test_listening_ends_at_once() -> None:
    async with asyncio.timeout(2):
        async with invalidation.subscribed():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("change", "concerned"),
    [
        (Change("user", USER.id or new_id()), True),
        (Change("session", USER.session_id or new_id()), True),
        (Change("user", new_id()), False),
    ],
)
def test_a_change_is_of_whom_it_names(change: Change, concerned: bool) -> None:
    assert change.is_of(USER) is concerned
