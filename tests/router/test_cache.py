import asyncio

import pytest

from router.authz.cache import Cache


class LookUp:
    """A slow look-up that can fail."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = False

    async def __call__(self, key: str) -> str:
        self.asked.append(key)
        await asyncio.sleep(0.01)
        if self.fails:
            raise ConnectionError(key)
        return key.upper()


@pytest.fixture
def look_up() -> LookUp:
    return LookUp()


async def test_an_answer_is_remembered_for_its_time(
    look_up: LookUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter((0.0, 4.9, 5.0, 9.9))
    monkeypatch.setattr("router.authz.cache.monotonic", lambda: next(times))
    cache = Cache(look_up, seconds=5, entries=10)

    assert [await cache.get("a") for _ in range(4)] == ["A"] * 4

    assert look_up.asked == ["a", "a"]


async def test_a_burst_asks_once(look_up: LookUp) -> None:
    cache = Cache(look_up, seconds=5, entries=10)

    assert await asyncio.gather(*(cache.get("a") for _ in range(20))) == ["A"] * 20
    assert look_up.asked == ["a"]


async def test_a_failure_reaches_all_who_wait_and_is_not_remembered(look_up: LookUp) -> None:
    cache = Cache(look_up, seconds=5, entries=10)
    look_up.fails = True

    failed = await asyncio.gather(*(cache.get("a") for _ in range(3)), return_exceptions=True)
    look_up.fails = False

    assert [type(error) for error in failed] == [ConnectionError] * 3
    assert await cache.get("a") == "A"
    assert look_up.asked == ["a", "a"]


async def test_who_goes_away_takes_nothing_from_the_others(look_up: LookUp) -> None:
    cache = Cache(look_up, seconds=5, entries=10)
    first, second = (asyncio.create_task(cache.get("a")) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == "A"
    assert look_up.asked == ["a"]


async def test_what_a_change_concerns_is_asked_again(look_up: LookUp) -> None:
    cache = Cache(look_up, seconds=5, entries=10)
    await cache.get("a")
    await cache.get("b")
    under_way = asyncio.create_task(cache.get("c"))
    await asyncio.sleep(0)

    cache.invalidate(lambda value: value == "A")

    assert [await cache.get(key) for key in ("a", "b", "c")] == ["A", "B", "C"]
    assert await under_way == "C"
    assert look_up.asked == ["a", "b", "c", "a", "c"]


async def test_the_oldest_make_room(look_up: LookUp) -> None:
    cache = Cache(look_up, seconds=5, entries=2)

    for key in ("a", "b", "c", "b", "a"):
        await cache.get(key)

    assert look_up.asked == ["a", "b", "c", "a"]
