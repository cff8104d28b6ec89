"""The rules of the archive for merchants: their archives, and restores of them."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive.models import ArchiveRestore, ArchiveShare
from subgraphs.kernel import jobs, task_names
from subgraphs.kernel.errors import BadUserInput, Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.graphql.paging import Page, Window
from subgraphs.kernel.ids import new_id

MAX_DAYS = 30
"""The longest that restored events stay; they can be restored again."""

_MAX_CURSOR_DIGITS = 15


class RestoredRow(NamedTuple):
    """A restored row; `data` has all its columns as JSON."""

    position: int
    data: dict[str, Any]


class RestoredWindow(NamedTuple):
    """A part of a restore's rows; hashable, to be part of a loader's key."""

    first: int
    after: int | None
    """Only rows after this position; None starts with the first row."""


def restored_window(first: int, after: str | None) -> RestoredWindow:
    """The window of restored rows, from the arguments of a connection.

    Raises:
        BadUserInput: `first` is out of 1..100, or `after` is not a cursor of this list.
    """
    paging.check_first(first)
    if after is None:
        return RestoredWindow(first, None)
    if not (after.isascii() and after.isdigit() and len(after) <= _MAX_CURSOR_DIGITS):
        raise BadUserInput("`after` is not a cursor of this list.")
    return RestoredWindow(first, int(after))


async def get(session: AsyncSession, *, share_id: UUID) -> ArchiveShare:
    """A site's share of an archive.

    Raises:
        NotFound: it does not exist, or it belongs to another tenant.
    """
    share = await session.get(ArchiveShare, share_id)
    if share is None:
        raise NotFound("No archive with this ID.")
    return share


async def get_restore(session: AsyncSession, *, restore_id: UUID) -> ArchiveRestore:
    """A restore.

    Raises:
        NotFound: it does not exist, or it belongs to another tenant.
    """
    restore = await session.get(ArchiveRestore, restore_id)
    if restore is None:
        raise NotFound("No restore with this ID.")
    return restore


async def list_for_sites(
    session: AsyncSession, site_ids: Collection[UUID], window: Window
) -> Mapping[UUID, Page[ArchiveShare]]:
    """A page of each site's shares, newest first, in one statement."""
    return await paging.pages_by_parent(
        session, ArchiveShare, ArchiveShare.site_id, site_ids, window
    )


async def list_restores_for_shares(
    session: AsyncSession, share_ids: Collection[UUID], window: Window
) -> Mapping[UUID, Page[ArchiveRestore]]:
    """A page of each share's restores, newest first, in one statement."""
    return await paging.pages_by_parent(
        session, ArchiveRestore, ArchiveRestore.share_id, share_ids, window
    )


async def list_restored_rows(
    session: AsyncSession, *, restore_id: UUID, table_name: str, window: RestoredWindow
) -> Page[RestoredRow]:
    """A page of a restore's rows, in the order of the archive; empty once the restore expired."""
    # A check constraint limits the table's name to the two archived tables.
    statement = text(f"""
        SELECT position, to_jsonb(r) - 'restore_id' - 'position'
        FROM restored.{table_name} r
        WHERE restore_id = :id AND position > :after ORDER BY position LIMIT :limit""")  # noqa: S608
    after = -1 if window.after is None else window.after
    values = {"id": restore_id, "after": after, "limit": window.first + 1}
    rows = [RestoredRow(*row) for row in await session.execute(statement, values)]
    return Page(rows[: window.first], len(rows) > window.first, window.after is not None)


async def create_restore(
    session: AsyncSession, *, share: ArchiveShare, user_id: UUID, days: int
) -> ArchiveRestore:
    """Request a restore of a share.

    Args:
        days: How long the rows stay, from when they are readable.

    Raises:
        BadUserInput: `days` is out of 1..MAX_DAYS.
        Conflict: the share is not archived yet, or it already has a restore that is not EXPIRED.
    """
    if not 1 <= days <= MAX_DAYS:
        raise BadUserInput(f"`days` must be between 1 and {MAX_DAYS}.")
    if share.status != "ARCHIVED":
        raise Conflict("These events are still in the ledger; there is nothing to restore.")
    # The app's role may insert these columns only: the worker writes the progress.
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
        restore: ArchiveRestore | None = await session.scalar(statement.returning(ArchiveRestore))
    except IntegrityError as error:
        raise Conflict(
            "This archive already has a restore: use it, or wait until it is EXPIRED."
        ) from error
    if restore is None:
        raise RuntimeError("INSERT returned no row")
    jobs.enqueue(session, task_names.RESTORE, restore_id=str(restore.id))
    return restore
