"""Queries and mutations of exports."""

from uuid import UUID

import strawberry

from subgraphs.analytics.exports import service
from subgraphs.analytics.exports.types import Export, ExportEventsInput, ExportFormat
from subgraphs.kernel import db
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity.permissions import may_change
from subgraphs.kernel.identity.tenants import account_of


async def export(info: Info, id: strawberry.ID) -> Export | None:
    async with db.read_session(info.context.viewer) as session:
        return Export.of(await service.get(session, export_id=to_uuid(id)))


async def export_events(info: Info, input: ExportEventsInput) -> Export:
    viewer = info.context.viewer
    async with db.transaction(viewer) as session:
        site_id = to_uuid(input.site_id)
        account_id = await account_of(session, site_id=site_id)
        may_change(viewer, account_id)
        export = await service.create(
            session,
            account_id=account_id,
            site_id=site_id,
            user_id=UUID(str(viewer.id)),
            start=input.start,
            end=input.end,
            format_=ExportFormat(input.format).name,
            types=input.types,
        )
        return Export.of(export)
