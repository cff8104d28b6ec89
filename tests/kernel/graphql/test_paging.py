"""Pages of many parents, on the deliveries of connected shops."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text

from deploy.local.stack.stack import Stack
from subgraphs.integrations.models import Delivery, InboxItem, Integration
from subgraphs.kernel import db
from subgraphs.kernel.graphql.paging import Page, Window, pages_by_parent
from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.ids import new_id
from tests.fixtures.graph import counted_statements
from tests.fixtures.shop import new_shop

ROWS = 2_000
"""Children of each busy parent."""

_READ = text("""
    SELECT CAST(seq_tup_read + idx_tup_fetch AS integer)
    FROM pg_stat_xact_user_tables WHERE relname = 'inbox'""")


class Parents(NamedTuple):
    """Two parents with alternating children, and one without; ids oldest first."""

    owner: Viewer
    busy: dict[UUID, list[UUID]]
    idle: UUID

    @property
    def ids(self) -> list[UUID]:
        return [*self.busy, self.idle]


@pytest.fixture(scope="module")
async def parents(stores: Stack) -> Parents:
    shop = await new_shop()
    whose = {"account_id": shop.account_id, "site_id": shop.site_id}
    first, second, idle = ids = [new_id() for _ in range(3)]
    children = [(parent, new_id()) for _ in range(ROWS) for parent in (first, second)]
    async with db.transaction(shop.owner) as session:
        how = {"provider": "SHOPIFY", "status": "CONNECTED", "sealed_secret": b""}
        session.add_all(Integration(id=id_, **whose, **how) for id_ in ids)
    async with db.service_transaction() as session:
        session.add_all(
            InboxItem(
                id=id_,
                **whose,
                integration_id=parent,
                delivery_id=id_.hex,
                topic="even" if number // 2 % 2 == 0 else "odd",
                body=b"",
                status="IGNORED",
            )
            for number, (parent, id_) in enumerate(children)
        )
    owner = await asyncpg.connect(stores.stores["postgres"])
    try:
        await owner.execute("ANALYZE inbox")
    finally:
        await owner.close()
    busy = {id_: [child for parent, child in children if parent == id_] for id_ in (first, second)}
    return Parents(shop.owner, busy, idle)


async def pages(
    parents: Parents, ids: Sequence[UUID], requested: Window
) -> dict[UUID, Page[Delivery]]:
    async with db.read_session(parents.owner) as session:
        return await pages_by_parent(session, Delivery, Delivery.integration_id, ids, requested)


def ids_of(page: Page[Delivery]) -> list[UUID]:
    return [row.id for row in page.rows]


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_page_reads_no_more_rows_than_it_returns(parents: Parents, is_first: bool) -> None:
    (children, _) = parents.busy.values()
    requested = Window(20, None if is_first else children[ROWS // 2])

    async with db.read_session(parents.owner) as session:
        before = await session.scalar(_READ) or 0
        found = await pages_by_parent(
            session, Delivery, Delivery.integration_id, parents.ids, requested
        )
        read = (await session.scalar(_READ) or 0) - before

    assert {parent: len(page.rows) for parent, page in found.items()} == {
        **dict.fromkeys(parents.busy, 20),
        parents.idle: 0,
    }
    assert read == 2 * 21  # one page of each parent, and one row for `hasNextPage`


async def test_each_parent_gets_its_newest_rows(parents: Parents) -> None:
    with counted_statements() as statements:
        found = await pages(parents, parents.ids, Window(3, None))

    assert len(statements) == 2  # set the viewer, then select
    for parent, children in parents.busy.items():
        assert ids_of(found[parent]) == children[:-4:-1]
        assert (found[parent].has_next, found[parent].has_previous) == (True, False)
    assert found[parents.idle] == Page([], False, False)


async def test_the_rows_after_a_cursor_are_older(parents: Parents) -> None:
    ((parent, children), _) = parents.busy.items()

    found = await pages(parents, [parent, parent], Window(5, children[7]))
    last = await pages(parents, [parent], Window(5, children[2]))

    assert ids_of(found[parent]) == children[6:1:-1]
    assert (found[parent].has_next, found[parent].has_previous) == (True, True)
    assert ids_of(last[parent]) == children[1::-1]
    assert last[parent].has_next is False


async def test_conditions_apply_before_the_page_limit(parents: Parents) -> None:
    ((parent, children), _) = parents.busy.items()

    async with db.read_session(parents.owner) as session:
        found = await pages_by_parent(
            session,
            Delivery,
            Delivery.integration_id,
            [parent],
            Window(4, None),
            Delivery.topic == "even",
        )

    assert ids_of(found[parent]) == children[-2:-10:-2]


async def test_another_tenant_gets_empty_pages(parents: Parents) -> None:
    eve = await new_shop()

    found = await pages(parents._replace(owner=eve.owner), parents.ids, Window(5, None))

    assert found == dict.fromkeys(parents.ids, Page([], False, False))
