"""Row-level security alone: whole tables, read without a permission check and without WHERE."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import text

from subgraphs.analytics.archive import service as archive
from subgraphs.analytics.exports import service as exports
from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.analytics.pipeline.decode import decode
from subgraphs.billing import service as billing
from subgraphs.integrations import service as integrations
from subgraphs.integrations.inbox import store
from subgraphs.integrations.inbox.store import NewWebhook
from subgraphs.kernel import db
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.streams.envelope import encode
from subgraphs.kernel.streams.interface import Entry
from subgraphs.notifications import ab_tests
from subgraphs.notifications import service as notifications
from subgraphs.notifications.ab_tests import NewVariant
from tests.fixtures.active_shop import ActiveShop, new_owner, open_shop
from tests.workers.archive.archiving import a_share
from tests.workers.stream.ledgers import rows
from workers.stream.steps import STEPS
from workers.visitor_profiles import fold_all

pytestmark = pytest.mark.usefixtures("stores")

WITHOUT_TENANT = {"alembic_version", "plans"}
"""Tables without tenant data."""

RELATIONS = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN "
)

WRITE_ONLY = {"outbox", "encryption_keys", "archives", "visitor_event_journal"}
"""The app's role cannot read these tables."""


@pytest.fixture
async def shop() -> ActiveShop:
    """A tenant with a row in every table."""
    shop = await open_shop()
    async with db.transaction(shop.owner) as session:
        integration, _ = await integrations.connect_shopify(
            session, account_id=shop.account_id, site_id=shop.site_id
        )
        notification = await notifications.get(session, notification_id=shop.notification_id)
        variants = [NewVariant("own", None, 1), NewVariant("other", "{{ product }}!", 1)]
        await ab_tests.create(session, notification=notification, name="t", variants=variants)
        await billing.change_plan(
            session, site_id=shop.site_id, account_id=shop.account_id, plan_id="growth"
        )
    webhook = NewWebhook(
        new_id(), shop.account_id, shop.site_id, integration.id, "d", None, "orders/create", b"{}"
    )
    await store.insert([webhook])
    order = msgspec.structs.replace(shop.order(placed=datetime.now(UTC)), visitor_id="anna")
    batch = Batch.of([Entry("1-0", encode(order), 1)])
    decode(batch)
    await STEPS.record(batch)
    await fold_all()
    async with db.service_transaction() as session:
        share = await a_share(session, shop.shop)
    async with db.transaction(shop.owner) as session:
        user_id = UUID(str(shop.owner.id))
        await archive.create_restore(session, share=share, user_id=user_id, days=1)
        now = datetime.now(UTC)
        await exports.create(
            session,
            account_id=shop.account_id,
            site_id=shop.site_id,
            user_id=user_id,
            start=now - timedelta(days=1),
            end=now,
            format_="CSV",
            types=None,
        )
    return shop


BEHIND_A_VIEW = {"events": "source_events"}
"""Tables without row security: the app's role can only read their view."""


async def tables() -> list[str]:
    """The tables with tenant data; a partitioned table stands for its partitions."""
    names = {name for (name,) in await rows(RELATIONS + "('r', 'p') AND NOT relispartition")}
    return sorted(names - WITHOUT_TENANT)


async def seen_by(viewer: Viewer) -> dict[str, int]:
    """The number of rows of each table that a viewer can read."""
    counts = {}
    async with db.read_session(viewer) as session:
        for table in set(await tables()) - WRITE_ONLY:
            name = BEHIND_A_VIEW.get(table, table)
            counts[table] = await session.scalar(text(f'SELECT count(*) FROM "{name}"')) or 0  # noqa: S608
    return counts


async def test_a_tenant_sees_only_its_own_rows(shop: ActiveShop) -> None:
    eve = await new_owner()
    own = dict.fromkeys(await tables(), 0)

    mine, theirs, nobodys = (
        await seen_by(shop.owner),
        await seen_by(eve),
        await seen_by(NOBODY),
    )

    assert {name for name, count in mine.items() if count == 0} == set()
    assert theirs == {
        name: 1 if name in ("accounts", "users", "members") else 0
        for name in own
        if name not in WRITE_ONLY
    }
    assert set(nobodys.values()) == {0}


async def test_another_tenants_rows_can_be_neither_changed_nor_inserted(shop: ActiveShop) -> None:
    eve = await new_owner()
    async with db.transaction(eve) as session:
        changed = await session.execute(text("UPDATE notifications SET status = 'PAUSED'"))
        with pytest.raises(Exception, match="row-level security"):
            await session.execute(
                text("INSERT INTO tenants VALUES (:site, :account, 'mine.example.com')"),
                {"site": shop.site_id, "account": shop.account_id},
            )

    assert changed.rowcount == 0  # type: ignore[attr-defined]


async def test_every_table_has_row_security_and_service_roles_own_no_table(
    shop: ActiveShop,
) -> None:
    secured = {name for (name,) in await rows(RELATIONS + "('r', 'p') AND relrowsecurity")}
    async with db.worker_engine().connect() as connection:
        roles = (
            await connection.execute(
                text(
                    "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole,"
                    " (SELECT count(*) FROM pg_class"
                    "  WHERE relowner = r.oid AND relpersistence <> 't') AS owned"
                    " FROM pg_roles r WHERE rolname LIKE 'proofgraph\\_%' ORDER BY rolname"
                )
            )
        ).all()

    assert secured == set(await tables()) - BEHIND_A_VIEW.keys()
    assert [tuple(role) for role in roles if role.rolname != "proofgraph_owner"] == [
        ("proofgraph_app", False, False, False, 0),
        ("proofgraph_worker", False, False, False, 0),
    ]


async def test_tables_behind_views_and_partitions_cannot_be_read_directly(
    shop: ActiveShop,
) -> None:
    around = [name for (name,) in await rows(RELATIONS + "('r', 'p') AND relispartition")]
    assert "events" not in around
    assert f"notification_events_{datetime.now(UTC):%Y_%m}_7" in around

    for name in ("events", *around):
        async with db.read_session(shop.owner) as session:
            with pytest.raises(Exception, match="permission denied"):
                await session.execute(text(f'SELECT count(*) FROM "{name}"'))  # noqa: S608
