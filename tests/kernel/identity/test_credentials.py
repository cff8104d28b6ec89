"""The cache of site keys and its invalidation, on the real table."""

import asyncio

import asyncpg
import pytest

from deploy.local.stack.stack import Stack
from subgraphs.kernel.identity import credentials
from subgraphs.kernel.identity.credentials import KeyLookup, SiteAccess, SiteKeys, digest
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.redis.invalidation import Change
from tests.fixtures.shop import new_shop

NOBODYS = "pk_nobodys"


@pytest.fixture(autouse=True)
def for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached keys do not expire during a test."""
    monkeypatch.setattr(credentials, "CACHE_SECONDS", 600.0)


async def revoke(stores: Stack, key: str) -> None:
    owner = await asyncpg.connect(stores.stores["postgres"])
    await owner.execute("DELETE FROM credentials WHERE hash = $1", digest(key))
    await owner.close()


async def test_unknown_keys_do_not_evict_valid_keys(
    stores: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_CACHE_ENTRIES", 3)
    keys, shop = SiteKeys(), await new_shop()
    access = await keys.find(shop.site_key)

    for number in range(5):
        assert await keys.find(f"{NOBODYS}_{number}") is None

    assert keys.peek(shop.site_key) == KeyLookup(access)
    assert keys.peek(f"{NOBODYS}_0") is None
    assert keys.peek(f"{NOBODYS}_4") == KeyLookup(None)


async def test_the_oldest_key_is_evicted(stores: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_CACHE_ENTRIES", 2)
    keys, shops = SiteKeys(), [await new_shop() for _ in range(3)]

    for shop in shops:
        await keys.find(shop.site_key)

    assert [keys.was_good(shop.site_key) for shop in shops] == [False, True, True]


async def test_a_change_invalidates_only_the_keys_of_its_site(stores: Stack) -> None:
    keys, changed, other = SiteKeys(), await new_shop(), await new_shop()
    for key in (changed.site_key, other.site_key, NOBODYS):
        await keys.find(key)
    known = [keys.peek(key) for key in (changed.site_key, other.site_key, NOBODYS)]

    keys.invalidate(Change("user", changed.site_id))
    assert [keys.peek(key) for key in (changed.site_key, other.site_key, NOBODYS)] == known
    keys.invalidate(Change("site", changed.site_id))

    found = [keys.peek(key) for key in (changed.site_key, other.site_key, NOBODYS)]
    assert found == [None, known[1], None]
    assert keys.was_good(changed.site_key)


async def test_a_possibly_missed_change_invalidates_all_keys(stores: Stack) -> None:
    keys, shop = SiteKeys(), await new_shop()
    await keys.find(shop.site_key)

    keys.invalidate(None)

    assert keys.peek(shop.site_key) is None


@pytest.mark.parametrize("names_nobody", [True, False])
async def test_a_revoked_key_is_rejected_once_the_change_is_published(
    stores: Stack, names_nobody: bool
) -> None:
    keys, shop = SiteKeys(), await new_shop()
    assert await keys.find(shop.site_key) is not None
    await revoke(stores, shop.site_key)

    keys.invalidate(None if names_nobody else Change("site", shop.site_id))

    assert await keys.find(shop.site_key) is None
    assert keys.peek(shop.site_key) == KeyLookup(None)
    assert not keys.was_good(shop.site_key)


async def test_a_value_read_before_a_change_is_not_cached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    access = SiteAccess(new_id(), new_id(), "example.com", 50)
    was_called, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(_key: str) -> SiteAccess:
        was_called.set()
        await may_answer.wait()
        return access

    monkeypatch.setattr(credentials, "_find_site", slow)
    keys = SiteKeys()
    look_up = asyncio.create_task(keys.find("pk_x"))
    await was_called.wait()

    keys.invalidate(Change("site", access.site_id))
    may_answer.set()

    assert await look_up == access
    assert keys.peek("pk_x") is None
