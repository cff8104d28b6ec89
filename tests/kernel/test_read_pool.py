"""Reads run in a viewer's transaction, and a pooled connection carries nothing over to the next."""

import asyncio

import pytest
from asyncpg import PostgresError
from sqlalchemy import func, select

from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.kernel.read_pool import Read, ReadPool
from subgraphs.kernel.reads import Session, Statement, first, rows
from subgraphs.sites.models import Site
from tests.fixtures.shop import Shop, new_shop

pytestmark = pytest.mark.usefixtures("stores")

SITES = Statement(select(Site).order_by(Site.id))
ACCOUNTS = Statement(select(func.current_setting("proofgraph.accounts", True)))
USER = Statement(select(func.current_setting("proofgraph.user", True)))
SLOW = Statement(select(func.pg_sleep(30)))
BROKEN = Statement(select(1 / func.length("")))


@pytest.fixture
async def pool() -> ReadPool:
    """A pool of one connection, so that every read uses the same."""
    return ReadPool(settings().database_url.get_secret_value(), size=1, timeout=5)


async def sites_of(pool: ReadPool, viewer: Viewer) -> list[Site]:
    async with Read(pool, viewer) as session:
        return await session.rows(SITES)


async def settings_left_on(pool: ReadPool) -> list[str | None]:
    """The viewer's settings on the connection, outside any read."""
    connection = await pool.acquire()
    try:
        names = ("proofgraph.accounts", "proofgraph.user", "proofgraph.pii_key")
        return [await connection.fetchval("SELECT current_setting($1, true)", it) for it in names]
    finally:
        pool.release(connection)


async def test_each_read_sees_its_own_viewer_on_the_same_connection(pool: ReadPool) -> None:
    anna, eve = await new_shop(), await new_shop()
    connections = set()
    for _ in range(3):
        for shop in (anna, eve):
            assert [site.id for site in await sites_of(pool, shop.owner)] == [shop.site_id]
            connections.add(id(pool._idle[0]))
        assert await sites_of(pool, NOBODY) == []

    assert len(connections) == 1
    await pool.close()


@pytest.mark.parametrize("end", ["success", "error", "exception"])
async def test_a_connection_carries_no_viewer_over(pool: ReadPool, end: str) -> None:
    shop = await new_shop()
    try:
        async with Read(pool, shop.owner) as session:
            await session.execute("SELECT set_config('proofgraph.pii_key', $1, true)", "secret")
            assert await first(session, ACCOUNTS) == str(shop.account_id)
            assert await first(session, USER) == str(shop.owner.id)
            if end == "error":
                await session.rows(BROKEN)
            if end == "exception":
                raise ValueError
    except (PostgresError, ValueError):
        pass

    # PostgreSQL leaves an empty string where a setting was local to a transaction.
    assert [value or "" for value in await settings_left_on(pool)] == ["", "", ""]
    assert await sites_of(pool, NOBODY) == []
    await pool.close()


async def test_a_cancelled_read_closes_its_connection(pool: ReadPool) -> None:
    shop = await new_shop()

    async def sleep() -> None:
        async with Read(pool, shop.owner) as session:
            await session.rows(SLOW)

    task = asyncio.create_task(sleep())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert pool._idle == []
    assert await sites_of(pool, NOBODY) == []
    await pool.close()


async def test_waiting_readers_are_served_in_turn(pool: ReadPool) -> None:
    shop = await new_shop()

    found = await asyncio.gather(*(sites_of(pool, shop.owner) for _ in range(20)))

    assert {len(sites) for sites in found} == {1}
    assert len(pool._idle) == 1
    await pool.close()


async def test_a_read_changes_nothing(pool: ReadPool) -> None:
    shop = await new_shop()

    with pytest.raises(PostgresError, match="read-only"):
        async with Read(pool, shop.owner) as session:
            await session.execute("UPDATE sites SET name = 'other'")
    await pool.close()


async def test_a_lost_connection_is_replaced(pool: ReadPool) -> None:
    shop = await new_shop()
    await sites_of(pool, shop.owner)
    pool._idle[0].terminate()
    await asyncio.sleep(0)

    assert len(await sites_of(pool, shop.owner)) == 1
    await pool.close()


async def test_a_statement_gives_the_same_in_either_session() -> None:
    shop = await new_shop()
    columns = Statement(select(Site.id, Site.name))

    async def read(session: Session) -> list[object]:
        (site,) = await rows(session, SITES)
        assert_is_the_site(site, shop)
        (pair,) = await rows(session, columns)
        return [tuple(pair), await rows(session, ACCOUNTS), site.settings]

    async with db.read(shop.owner) as reading, db.read_session(shop.owner) as orm:
        assert await read(reading) == await read(orm)


def assert_is_the_site(site: Site, shop: Shop) -> None:
    assert (site.id, site.account_id, site.site_key) == (
        shop.site_id,
        shop.account_id,
        shop.site_key,
    )
