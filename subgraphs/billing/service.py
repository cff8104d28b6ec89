"""The rules of plans and subscriptions."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Text, any_, bindparam, case, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.billing.models import Plan, SiteSubscription
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.identity.tenants import set_limits
from subgraphs.kernel.reads import Session, Statement, rows, uuids

FREE_PLAN = "free"
"""The plan of a site that has chosen no plan."""

_ALL_PLANS = Statement(select(Plan).order_by(Plan.monthly_price_minor, Plan.id))
_PLANS = Statement(select(Plan).where(Plan.id == any_(bindparam("ids", type_=ARRAY(Text)))))
_SUBSCRIPTIONS = Statement(
    select(SiteSubscription).where(SiteSubscription.site_id == any_(uuids("ids")))
)


async def list_plans(session: Session) -> Sequence[Plan]:
    """All plans, the cheapest first."""
    return await rows(session, _ALL_PLANS)


async def get_plans(session: Session, ids: Collection[str]) -> Mapping[str, Plan]:
    """The plans by id, in one statement."""
    return {row.id: row for row in await rows(session, _PLANS, ids=ids)}


async def get_many(session: Session, site_ids: Collection[UUID]) -> Mapping[UUID, SiteSubscription]:
    """The subscriptions by site id, without sites that have chosen no plan; one statement."""
    return {row.site_id: row for row in await rows(session, _SUBSCRIPTIONS, ids=site_ids)}


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
