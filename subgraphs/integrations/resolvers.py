"""Query and Mutation of integrations: permission, service, type."""

import strawberry

from subgraphs.integrations import service
from subgraphs.integrations.types import ConnectedIntegration, ConnectShopifyInput, Integration
from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity.permissions import may_change
from subgraphs.kernel.identity.tenants import account_of


async def integration(info: Info, id: strawberry.ID) -> Integration | None:
    async with db.read(info.context.viewer) as session:
        return Integration.of(await service.get(session, integration_id=to_uuid(id)))


async def connect_shopify(info: Info, input: ConnectShopifyInput) -> ConnectedIntegration:
    viewer = info.context.viewer
    async with db.transaction(viewer) as session:
        site_id = to_uuid(input.site_id)
        account_id = await account_of(session, site_id=site_id)
        may_change(viewer, account_id)
        row, secret = await service.connect_shopify(
            session, account_id=account_id, site_id=site_id, secret=input.secret
        )
        return ConnectedIntegration(
            integration=Integration.of(row),
            url=f"{settings().public_url.rstrip('/')}/hooks/shopify/{row.id}",
            secret=secret,
        )
