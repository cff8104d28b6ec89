"""The versioned cache on the real Valkey."""

from collections.abc import Collection, Mapping
from uuid import UUID, uuid4

import pytest

from subgraphs.kernel import redis
from subgraphs.kernel.redis.cache import VersionedCache

pytestmark = pytest.mark.usefixtures("stores")


class Source:
    """The source of the values, with a record of its loads."""

    def __init__(self) -> None:
        self.values: dict[UUID, bytes] = {}
        self.loads: list[list[UUID]] = []

    async def load(self, ids: Collection[UUID]) -> Mapping[UUID, bytes]:
        self.loads.append(list(ids))
        return {id_: self.values[id_] for id_ in ids}


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cached() -> VersionedCache:
    return VersionedCache(f"test-{uuid4().hex}", seconds=60)


async def test_a_value_is_loaded_once(cached: VersionedCache, source: Source) -> None:
    one, two, three = uuid4(), uuid4(), uuid4()
    source.values = {one: b"1", two: b":2:", three: b""}

    assert await cached.get([one, two, one], source.load) == {one: b"1", two: b":2:"}
    assert await cached.get([one, two, three], source.load) == source.values
    assert await cached.get([three], source.load) == {three: b""}

    assert source.loads == [[one, two], [three]]


async def test_only_the_invalidated_value_is_loaded_again(
    cached: VersionedCache, source: Source
) -> None:
    one, two = uuid4(), uuid4()
    source.values = {one: b"1", two: b"2"}
    await cached.get([one, two], source.load)

    source.values[one] = b"new"
    await cached.invalidate(one)

    assert await cached.get([one, two], source.load) == {one: b"new", two: b"2"}
    assert source.loads == [[one, two], [one]]


async def test_a_value_loaded_before_an_invalidation_is_never_served_after_it(
    cached: VersionedCache, source: Source
) -> None:
    one = uuid4()

    async def load_slowly(ids: Collection[UUID]) -> Mapping[UUID, bytes]:
        await cached.invalidate(one)  # after this load has read, before its value is stored
        return {one: b"old"}

    await cached.get([one], load_slowly)
    source.values = {one: b"new"}

    assert await cached.get([one], source.load) == {one: b"new"}


async def test_an_entry_expires(source: Source) -> None:
    name, one = f"test-{uuid4().hex}", uuid4()
    source.values = {one: b"1"}
    await VersionedCache(name, seconds=60).get([one], source.load)

    assert 0 < await redis.client().ttl(f"{name}:{one}") <= 60


async def test_no_ids_cause_no_load(cached: VersionedCache, source: Source) -> None:
    assert await cached.get([], source.load) == {}
    assert source.loads == []
