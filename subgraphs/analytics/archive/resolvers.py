"""Queries and mutations of the archive."""

from uuid import UUID

import strawberry

from subgraphs.analytics.archive import service
from subgraphs.analytics.archive.types import Archive, ArchiveRestore, RestoreArchiveInput
from subgraphs.kernel import db
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity.permissions import may_change


async def archive(info: Info, id: strawberry.ID) -> Archive | None:
    async with db.read_session(info.context.viewer) as session:
        return Archive.of(await service.get(session, share_id=to_uuid(id)))


async def archive_restore(info: Info, id: strawberry.ID) -> ArchiveRestore | None:
    async with db.read_session(info.context.viewer) as session:
        return ArchiveRestore.of(await service.get_restore(session, restore_id=to_uuid(id)))


async def restore_archive(info: Info, input: RestoreArchiveInput) -> ArchiveRestore:
    viewer = info.context.viewer
    async with db.transaction(viewer) as session:
        share = await service.get(session, share_id=to_uuid(input.archive_id))
        may_change(viewer, share.account_id)
        restore = await service.create_restore(
            session, share=share, user_id=UUID(str(viewer.id)), days=input.days
        )
        return ArchiveRestore.of(restore)
