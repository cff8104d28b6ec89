"""Query and Mutation of billing: permission, service, type."""

from subgraphs.billing import service
from subgraphs.billing.types import ChangePlanInput, Plan, SiteSubscription
from subgraphs.kernel import db
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity.permissions import may_change
from subgraphs.kernel.identity.tenants import account_of
from subgraphs.kernel.redis.invalidation import Change, publish


async def plans(info: Info) -> list[Plan]:
    async with db.read(info.context.viewer) as session:
        return [Plan.of(row) for row in await service.list_plans(session)]


async def change_plan(info: Info, input: ChangePlanInput) -> SiteSubscription:
    viewer = info.context.viewer
    async with db.transaction(viewer) as session:
        site_id = to_uuid(input.site_id)
        account_id = await account_of(session, site_id=site_id)
        may_change(viewer, account_id)
        row = await service.change_plan(
            session, site_id=site_id, account_id=account_id, plan_id=input.plan_id
        )
    await publish(Change("site", site_id))
    return SiteSubscription.of(row)
