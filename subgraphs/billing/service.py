"""The rules of plans and subscriptions."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.billing.models import Plan, SiteSubscription
from subgraphs.kernel.errors import BadUserInput

FREE_PLAN = "free"
"""The plan of a site that has chosen none."""


async def plans(session: AsyncSession) -> list[Plan]:
    """All plans, the cheapest first."""
    statement = select(Plan).order_by(Plan.monthly_price_minor, Plan.id)
    return list(await session.scalars(statement))


async def plans_by_id(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Plan]:
    """These plans, in one statement."""
    rows = await session.scalars(select(Plan).where(Plan.id.in_(ids)))
    return {row.id: row for row in rows}


async def of_sites(
    session: AsyncSession, site_ids: Collection[UUID]
) -> Mapping[UUID, SiteSubscription]:
    """What those of the sites have chosen that have, in one statement."""
    statement = select(SiteSubscription).where(SiteSubscription.site_id.in_(site_ids))
    return {row.site_id: row for row in await session.scalars(statement)}


async def change_plan(
    session: AsyncSession, *, site_id: UUID, account_id: UUID, plan_id: str
) -> SiteSubscription:
    """Put a site on a plan; on the one it has, nothing changes.

    Raises:
        BadUserInput: there is no such plan.
    """
    known = await plans(session)
    if plan_id not in {plan.id for plan in known}:
        names = ", ".join(f"`{plan.id}`" for plan in known)
        raise BadUserInput(f"There is no such plan; there are {names}.")
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
