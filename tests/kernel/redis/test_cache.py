"""A cache that is told, on the real Valkey."""

from collections.abc import Collection, Mapping
from uuid import UUID, uuid4

import pytest

from subgraphs.kernel import redis
from subgraphs.kernel.redis.cache import VersionedCache

pytestmark = pytest.mark.usefixtures("stores")


class Truth:
    """What there is to be read, and who has read it."""

    def __init__(self) -> None:
        self.now: dict[UUID, bytes] = {}
        self.asked: list[list[UUID]] = []

    async def load(self, ids: Collection[UUID]) -> Mapping[UUID, bytes]:
        self.asked.append(list(ids))
        return {id_: self.now[id_] for id_ in ids}


@pytest.fixture
def truth() -> Truth:
    return Truth()


@pytest.fixture
def cached() -> VersionedCache:
    return VersionedCache(f"test-{uuid4().hex}", seconds=60)


async def test_what_was_read_is_read_once(cached: VersionedCache, truth: Truth) -> None:
    one, two, three = uuid4(), uuid4(), uuid4()
    truth.now = {one: b"1", two: b":2:", three: b""}

    assert await cached.get([one, two, one], truth.load) == {one: b"1", two: b":2:"}
    assert await cached.get([one, two, three], truth.load) == truth.now
    assert await cached.get([three], truth.load) == {three: b""}

    assert truth.asked == [[one, two], [three]]


async def test_what_changed_is_read_again_and_nothing_else(
    cached: VersionedCache, truth: Truth
) -> None:
    one, two = uuid4(), uuid4()
    truth.now = {one: b"1", two: b"2"}
    await cached.get([one, two], truth.load)

    truth.now[one] = b"new"
    await cached.invalidate(one)

    assert await cached.get([one, two], truth.load) == {one: b"new", two: b"2"}
    assert truth.asked == [[one, two], [one]]


async def test_what_a_slow_reader_puts_there_nobody_takes(
    cached: VersionedCache, truth: Truth
) -> None:
    one = uuid4()

    async def load_slowly(ids: Collection[UUID]) -> Mapping[UUID, bytes]:
        await cached.invalidate(one)  # between this reading and its putting away
        return {one: b"old"}

    await cached.get([one], load_slowly)
    truth.now = {one: b"new"}

    assert await cached.get([one], truth.load) == {one: b"new"}


async def test_an_entry_goes_by_itself(truth: Truth) -> None:
    name, one = f"test-{uuid4().hex}", uuid4()
    truth.now = {one: b"1"}
    await VersionedCache(name, seconds=60).get([one], truth.load)

    assert 0 < await redis.client().ttl(f"{name}:{one}") <= 60


async def test_nothing_asked_costs_nothing(cached: VersionedCache, truth: Truth) -> None:
    assert await cached.get([], truth.load) == {}
    assert truth.asked == []
