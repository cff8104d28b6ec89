"""The rules of exports: which events may be exported, and how long the file can be downloaded."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import query_range
from subgraphs.analytics.exports.formats import SUFFIXES
from subgraphs.analytics.exports.models import Export
from subgraphs.analytics.site_events.query import MAX_TYPES, is_storable
from subgraphs.kernel import jobs, task_names
from subgraphs.kernel.errors import BadUserInput, Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import objects

MAX_RANGE = timedelta(days=366)

LINK_SECONDS = 300
"""How long a link is valid. Each request for `url` makes a new one."""


async def get(session: AsyncSession, *, export_id: UUID) -> Export:
    """An export.

    Raises:
        NotFound: it does not exist, or it belongs to another tenant.
    """
    export = await session.get(Export, export_id)
    if export is None:
        raise NotFound("No export with this ID.")
    return export


async def create(
    session: AsyncSession,
    *,
    account_id: UUID,
    site_id: UUID,
    user_id: UUID,
    start: datetime,
    end: datetime,
    format_: str,
    types: Sequence[str] | None,
) -> Export:
    """Request an export of a site's events from `start` (inclusive) to `end` (exclusive).

    Args:
        format_: The name of an `ExportFormat`.
        types: Only events of these types; None for all.

    Raises:
        BadUserInput: a time has no offset or is out of bounds, `end` is not after `start`, the
            range is too long, there are too many types, or no event can have one of them.
        Conflict: another export of this site is running.
    """
    query_range.check_range(start, end)
    if end - start > MAX_RANGE:
        raise BadUserInput(f"`start` to `end` may span at most {MAX_RANGE.days} days.")
    if types is not None and not (
        0 < len(types) <= MAX_TYPES and all(it and is_storable(it) for it in types)
    ):
        raise BadUserInput(
            f"`types` must name 1 to {MAX_TYPES} event types, or be omitted to export all."
        )
    # The app's role may insert these columns only: the worker writes the progress.
    statement = insert(Export).values(
        id=new_id(),
        account_id=account_id,
        site_id=site_id,
        requested_by=user_id,
        range_start=start,
        range_end=end,
        format=format_,
        types=list(types) if types is not None else None,
    )
    try:
        export: Export | None = await session.scalar(statement.returning(Export))
    except IntegrityError as error:
        raise Conflict(
            "An export of this site is running: wait until it is READY or FAILED."
        ) from error
    if export is None:
        raise RuntimeError("INSERT returned no row")
    jobs.enqueue(session, task_names.EXPORT, export_id=str(export.id))
    return export


async def list_for_sites(
    session: AsyncSession, site_ids: Collection[UUID], window: paging.Window
) -> Mapping[UUID, paging.Page[Export]]:
    """A page of each site's exports, newest first, in one statement."""
    return await paging.pages_by_parent(session, Export, Export.site_id, site_ids, window)


def is_expired(export: Export) -> bool:
    """Whether the file is past its expiry, whether or not a worker has deleted it."""
    return export.expires_at is not None and export.expires_at <= datetime.now(UTC)


def progress(export: Export) -> float:
    """The progress from 0 to 1; 1 only once the file is complete."""
    if export.status in ("READY", "EXPIRED"):
        return 1.0
    return min(export.rows / export.rows_expected, 0.99) if export.rows_expected else 0.0


def link(export: Export) -> str | None:
    """A URL that downloads the file for `LINK_SECONDS`; None if there is no file."""
    if export.status != "READY" or export.key is None or is_expired(export):
        return None
    name = f"events-{export.range_start:%Y-%m-%d}-{export.range_end:%Y-%m-%d}"
    filename = f"{name}.{SUFFIXES[export.format]}"
    return objects.link(export.key, filename=filename, seconds=LINK_SECONDS)
