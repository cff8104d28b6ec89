"""The lookup cache: TTL, shared look-ups, invalidation, eviction."""

import asyncio
from functools import partial
from typing import Any

import pytest
from cachetools import TTLCache

from router.authz.lookup_cache import LookupCache


class LookUp:
    """A slow look-up that records its keys and can fail."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.fails = False

    async def __call__(self, key: str) -> str:
        self.keys.append(key)
        await asyncio.sleep(0.01)
        if self.fails:
            raise ConnectionError(key)
        return key.upper()


@pytest.fixture
def look_up() -> LookUp:
    return LookUp()


async def test_a_result_is_cached_for_its_ttl(
    look_up: LookUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    with_timer: Any = partial(TTLCache, timer=lambda: now[0])
    monkeypatch.setattr("router.authz.lookup_cache.TTLCache", with_timer)
    cache = LookupCache(look_up, ttl=5, max_entries=10)

    for now[0] in (0.0, 4.9, 5.0, 9.9):
        assert await cache.get("a") == "A"

    assert look_up.keys == ["a", "a"]


async def test_concurrent_requests_share_a_lookup(look_up: LookUp) -> None:
    cache = LookupCache(look_up, ttl=5, max_entries=10)

    assert await asyncio.gather(*(cache.get("a") for _ in range(20))) == ["A"] * 20
    assert look_up.keys == ["a"]


async def test_an_error_reaches_every_waiter_and_is_not_cached(look_up: LookUp) -> None:
    cache = LookupCache(look_up, ttl=5, max_entries=10)
    look_up.fails = True

    failed = await asyncio.gather(*(cache.get("a") for _ in range(3)), return_exceptions=True)
    look_up.fails = False

    assert [type(error) for error in failed] == [ConnectionError] * 3
    assert await cache.get("a") == "A"
    assert look_up.keys == ["a", "a"]


async def test_a_cancelled_waiter_does_not_cancel_the_lookup(look_up: LookUp) -> None:
    cache = LookupCache(look_up, ttl=5, max_entries=10)
    first, second = (asyncio.create_task(cache.get("a")) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == "A"
    assert look_up.keys == ["a"]


async def test_invalidated_and_pending_results_are_looked_up_again(look_up: LookUp) -> None:
    cache = LookupCache(look_up, ttl=5, max_entries=10)
    await cache.get("a")
    await cache.get("b")
    pending = asyncio.create_task(cache.get("c"))
    await asyncio.sleep(0)

    cache.invalidate(lambda value: value == "A")

    assert [await cache.get(key) for key in ("a", "b", "c")] == ["A", "B", "C"]
    assert await pending == "C"
    assert look_up.keys == ["a", "b", "c", "a", "c"]


async def test_the_least_recently_used_is_evicted(look_up: LookUp) -> None:
    cache = LookupCache(look_up, ttl=5, max_entries=2)

    for key in ("a", "b", "a", "c", "a", "b"):
        await cache.get(key)

    assert look_up.keys == ["a", "b", "c", "b"]
