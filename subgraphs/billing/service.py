"""The rules of plans and subscriptions."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.billing.models import Plan, SiteSubscription
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.identity.tenants import set_limits

FREE_PLAN = "free"
"""The plan of a site that has chosen no plan."""


async def list_plans(session: AsyncSession) -> list[Plan]:
    """All plans, the cheapest first."""
    statement = select(Plan).order_by(Plan.monthly_price_minor, Plan.id)
    return list(await session.scalars(statement))


async def get_plans(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Plan]:
    """The plans by id, in one statement."""
    rows = await session.scalars(select(Plan).where(Plan.id.in_(ids)))
    return {row.id: row for row in rows}


async def get_many(
    session: AsyncSession, site_ids: Collection[UUID]
) -> Mapping[UUID, SiteSubscription]:
    """The subscriptions by site id, without sites that have chosen no plan; one statement."""
    statement = select(SiteSubscription).where(SiteSubscription.site_id.in_(site_ids))
    return {row.site_id: row for row in await session.scalars(statement)}


async def change_plan(
    session: AsyncSession, *, site_id: UUID, account_id: UUID, plan_id: str
) -> SiteSubscription:
    """Change the plan of a site; choosing its current plan changes nothing.

    Raises:
        BadUserInput: no plan has this id.
    """
    plans = {plan.id: plan for plan in await list_plans(session)}
    plan = plans.get(plan_id)
    if plan is None:
        names = ", ".join(f"`{id_}`" for id_ in plans)
        raise BadUserInput(f"`planId` must be one of {names}.")
    await set_limits(
        session,
        site_id=site_id,
        events_per_second=plan.events_per_second,
        retention_days=plan.retention_days,
    )
    new = insert(SiteSubscription).values(site_id=site_id, account_id=account_id, plan_id=plan_id)
    is_same = SiteSubscription.plan_id == new.excluded.plan_id
    upsert = new.on_conflict_do_update(
        index_elements=[SiteSubscription.site_id],
        set_={
            "plan_id": new.excluded.plan_id,
            "since": case((is_same, SiteSubscription.since), else_=func.now()),
        },
    )
    return (await session.scalars(upsert.returning(SiteSubscription))).one()
