"""Plans and subscriptions through their schema, on the real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from subgraphs.billing import service
from subgraphs.billing.schema import schema
from subgraphs.kernel import db
from subgraphs.kernel.identity.tenants import Tenant
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from tests.fixtures.graph import Answer, counted_statements, run
from tests.fixtures.shop import Shop, more_sites, new_shop

pytestmark = pytest.mark.usefixtures("stores")

PLANS = """{
  plans {
    id name monthlyPrice { amountMinor currency } monthlyEvents eventsPerSecond retentionDays
  }
}"""
CHANGE = """
mutation($input: ChangePlanInput!) { changePlan(input: $input) { plan { id name } since } }"""
OF_SITES = """
query($representations: [_Any!]!) {
  _entities(representations: $representations) {
    ... on Site { subscription { plan { id } since } }
  }
}"""


@pytest.fixture
async def shop() -> Shop:
    return await new_shop()


async def change(shop: Shop, plan_id: str, **fields: object) -> Answer:
    requested = {"siteId": str(shop.site_id), "planId": plan_id, **fields}
    return await run(schema, shop.owner, CHANGE, input=requested)


async def subscriptions(viewer: Viewer, *site_ids: UUID) -> list[dict[str, object]]:
    requested = [{"__typename": "Site", "id": str(site_id)} for site_id in site_ids]
    answer = await run(schema, viewer, OF_SITES, representations=requested)
    return [entity["subscription"] for entity in answer.data["_entities"]]


async def limits(shop: Shop) -> tuple[int, int]:
    async with db.service_transaction() as session:
        found = await session.execute(
            select(Tenant.events_per_second, Tenant.retention_days).where(
                Tenant.site_id == shop.site_id
            )
        )
        events_per_second, retention_days = found.one()
        return events_per_second, retention_days


async def test_plans_are_public_and_listed_cheapest_first(shop: Shop) -> None:
    answers = [await run(schema, viewer, PLANS) for viewer in (NOBODY, shop.owner, shop.storefront)]

    assert answers[0] == answers[1] == answers[2]
    assert answers[0].data["plans"] == [
        {
            "id": "free",
            "name": "Free",
            "monthlyPrice": {"amountMinor": 0, "currency": "USD"},
            "monthlyEvents": 10_000,
            "eventsPerSecond": 50,
            "retentionDays": 90,
        },
        {
            "id": "starter",
            "name": "Starter",
            "monthlyPrice": {"amountMinor": 1_900, "currency": "USD"},
            "monthlyEvents": 250_000,
            "eventsPerSecond": 200,
            "retentionDays": 90,
        },
        {
            "id": "growth",
            "name": "Growth",
            "monthlyPrice": {"amountMinor": 7_900, "currency": "USD"},
            "monthlyEvents": 2_500_000,
            "eventsPerSecond": 2_000,
            "retentionDays": 365,
        },
    ]


async def test_a_new_site_has_the_free_plan(shop: Shop) -> None:
    assert await subscriptions(shop.owner, shop.site_id) == [
        {"plan": {"id": "free"}, "since": None}
    ]


async def test_a_plan_change_is_stored_with_its_time(shop: Shop) -> None:
    answer = await change(shop, "growth")

    changed = answer.data["changePlan"]
    since = datetime.fromisoformat(changed["since"])
    assert changed["plan"] == {"id": "growth", "name": "Growth"}
    assert timedelta(0) <= datetime.now(UTC) - since < timedelta(seconds=10)
    assert await subscriptions(shop.owner, shop.site_id) == [
        {"plan": {"id": "growth"}, "since": changed["since"]}
    ]


async def test_changing_to_the_same_plan_keeps_the_time_of_the_last_change(
    shop: Shop,
) -> None:
    first = (await change(shop, "starter")).data["changePlan"]

    same = (await change(shop, "starter")).data["changePlan"]
    back = (await change(shop, "free")).data["changePlan"]

    assert same == first
    assert back["plan"]["id"] == "free"
    assert datetime.fromisoformat(back["since"]) > datetime.fromisoformat(first["since"])


async def test_ingest_limits_and_retention_follow_the_plan(shop: Shop) -> None:
    at_first = await limits(shop)
    await change(shop, "growth")

    assert (at_first, await limits(shop)) == ((50, 90), (2_000, 365))


@pytest.mark.parametrize("plan_id", ["", "gold", "FREE", "free\x00"])
async def test_an_unknown_plan_is_rejected(shop: Shop, plan_id: str) -> None:
    await change(shop, "starter")

    assert await change(shop, plan_id) == (None, ["BAD_USER_INPUT"])
    (kept,) = await subscriptions(shop.owner, shop.site_id)
    assert kept["plan"] == {"id": "starter"}


async def test_another_accounts_site_keeps_its_plan(shop: Shop) -> None:
    eve = await new_shop()

    assert await change(eve, "growth", siteId=str(shop.site_id)) == (None, ["NOT_FOUND"])
    assert await change(eve, "growth", siteId="nonsense") == (None, ["NOT_FOUND"])
    assert await change(shop._replace(owner=shop.looker), "growth") == (None, ["FORBIDDEN"])
    assert await change(shop._replace(owner=NOBODY), "growth") == (None, ["UNAUTHENTICATED"])
    assert await change(shop._replace(owner=shop.storefront), "growth") == (None, ["FORBIDDEN"])
    assert await subscriptions(shop.owner, shop.site_id) == [
        {"plan": {"id": "free"}, "since": None}
    ]
    assert await limits(shop) == (50, 90)


async def test_another_accounts_plan_cannot_be_read(shop: Shop) -> None:
    eve = await new_shop()
    await change(shop, "growth")

    assert await subscriptions(eve.owner, shop.site_id) == [{"plan": {"id": "free"}, "since": None}]
    # The permission check aside: the same statement sees nothing as someone else.
    async with db.read_session(eve.owner) as session:
        assert await service.get_many(session, [shop.site_id]) == {}


async def test_many_sites_cost_as_many_statements_as_one(shop: Shop) -> None:
    site_ids = await more_sites(shop, 20)
    for site_id in site_ids[:10]:
        await change(shop._replace(site_id=site_id), "starter")

    with counted_statements() as few:
        await subscriptions(shop.owner, site_ids[0])
    with counted_statements() as many:
        found = await subscriptions(shop.owner, *site_ids)

    assert [one["plan"]["id"] for one in found] == ["starter"] * 10 + ["free"] * 10  # type: ignore[index]
    assert len(many) == len(few) == 4  # set the viewer, then select: subscriptions, then plans
