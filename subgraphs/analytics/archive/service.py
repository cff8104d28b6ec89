"""The rules of the archive as merchants meet it: what there is, and having it back."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive.models import ArchiveRestore, ArchiveShare
from subgraphs.kernel import jobs, task_names
from subgraphs.kernel.errors import BadUserInput, Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import new_id

MAX_DAYS = 30
"""How long what is restored may stay; for longer it is asked for again."""


class RestoredRow(NamedTuple):
    """A row that came back; `data` is all of it, as JSON."""

    position: int
    data: dict[str, Any]


async def get(session: AsyncSession, *, share_id: UUID) -> ArchiveShare:
    """A site's share of an archive.

    Raises:
        NotFound: no such archive, or none of the viewer's.
    """
    share = await session.get(ArchiveShare, share_id)
    if share is None:
        raise NotFound("There is no such archive.")
    return share


async def get_restore(session: AsyncSession, *, restore_id: UUID) -> ArchiveRestore:
    """A restore.

    Raises:
        NotFound: no such restore, or not the viewer's.
    """
    restore = await session.get(ArchiveRestore, restore_id)
    if restore is None:
        raise NotFound("There is no such restore.")
    return restore


async def restore(
    session: AsyncSession, *, share: ArchiveShare, user_id: UUID, days: int
) -> ArchiveRestore:
    """Have a share back for so many days.

    Raises:
        BadUserInput: more days than may be, or none.
        Conflict: it is not in the archive yet, or is back or on its way already.
    """
    if not 1 <= days <= MAX_DAYS:
        raise BadUserInput(f"`days` must be between 1 and {MAX_DAYS}.")
    if share.status != "ARCHIVED":
        raise Conflict("These events have not left the ledger yet: there is nothing to restore.")
    # The app's role may write these columns and no others: how far it is, the worker says.
    statement = insert(ArchiveRestore).values(
        id=new_id(),
        share_id=share.id,
        account_id=share.account_id,
        site_id=share.site_id,
        table_name=share.table_name,
        requested_by=user_id,
        days=days,
    )
    try:
        made: ArchiveRestore | None = await session.scalar(statement.returning(ArchiveRestore))
    except IntegrityError as error:
        raise Conflict("It is restored already, or on its way: see `restores`.") from error
    if made is None:
        raise RuntimeError("an INSERT without a row")
    jobs.enqueue(session, task_names.RESTORE, restore_id=str(made.id))
    return made


async def shares_of(
    session: AsyncSession, site_ids: Collection[UUID], asked: paging.Window
) -> Mapping[UUID, paging.Page[ArchiveShare]]:
    """A page of each site's archives, in one statement."""
    return await paging.pages_by_parent(
        session, ArchiveShare, ArchiveShare.site_id, site_ids, asked
    )


async def restores_of(
    session: AsyncSession, share_ids: Collection[UUID], asked: paging.Window
) -> Mapping[UUID, paging.Page[ArchiveRestore]]:
    """A page of the restores of each archive, in one statement."""
    return await paging.pages_by_parent(
        session, ArchiveRestore, ArchiveRestore.share_id, share_ids, asked
    )


async def restored_rows(
    session: AsyncSession, restore: ArchiveRestore, *, first: int, after: int
) -> Sequence[RestoredRow]:
    """Rows behind a position, one more than asked for where there are more; none once expired."""
    if restore.status != "READY":
        return ()
    # One of our two tables: the database checks that it is.
    statement = text(f"""
        SELECT position, to_jsonb(r) - 'restore_id' - 'position'
        FROM restored.{restore.table_name} r
        WHERE restore_id = :id AND position > :after ORDER BY position LIMIT :first""")  # noqa: S608
    values = {"id": restore.id, "after": after, "first": first + 1}
    return [RestoredRow(*row) for row in await session.execute(statement, values)]
