"""The rules of exports: what may be asked for, by whom the file is fetched, how long it stays."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import query_range, site_events
from subgraphs.analytics.exports.formats import SUFFIXES
from subgraphs.analytics.exports.models import Export
from subgraphs.analytics.site_events import MAX_TYPES
from subgraphs.kernel import jobs, task_names
from subgraphs.kernel.errors import BadUserInput, Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import objects

MAX_RANGE = timedelta(days=366)

LINK_SECONDS = 300
"""How long a link opens the file; a new one is made whenever `url` is asked for."""


async def get(session: AsyncSession, *, export_id: UUID) -> Export:
    """An export.

    Raises:
        NotFound: no such export, or not the viewer's.
    """
    export = await session.get(Export, export_id)
    if export is None:
        raise NotFound("There is no such export.")
    return export


async def start(
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
    """Have a site's events of a time written to a file.

    Raises:
        BadUserInput: a time without an offset or out of bounds, an end that is not after the start,
            too long a range, too many types or one that nothing can have.
        Conflict: an export of this site runs.
    """
    query_range.check_range(start, end)
    if end - start > MAX_RANGE:
        raise BadUserInput(f"`end` must be after `start`, by {MAX_RANGE.days} days at most.")
    if types is not None and not (
        0 < len(types) <= MAX_TYPES and all(it and site_events.can_have(it) for it in types)
    ):
        raise BadUserInput(f"`types` must name 1 to {MAX_TYPES} types, or be left out for all.")
    # The app's role may write these columns and no others: how far it is, the worker says.
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
        raise Conflict("An export of this site runs: wait until it is ready.") from error
    if export is None:
        raise RuntimeError("an INSERT without a row")
    jobs.enqueue(session, task_names.EXPORT, export_id=str(export.id))
    return export


async def of_sites(
    session: AsyncSession, site_ids: Collection[UUID], asked: paging.Window
) -> Mapping[UUID, paging.Page[Export]]:
    """A page of each site's exports, in one statement."""
    return await paging.pages_by_parent(session, Export, Export.site_id, site_ids, asked)


def is_over(export: Export) -> bool:
    """Whether the file has been kept as long as was said."""
    return export.expires_at is not None and export.expires_at <= datetime.now(UTC)


def progress(export: Export) -> float:
    """From 0 to 1; 1 only when the file is there."""
    if export.status in ("READY", "EXPIRED"):
        return 1.0
    return min(export.rows / export.rows_expected, 0.99) if export.rows_expected else 0.0


def link(export: Export) -> str | None:
    """An address that gives the file out for a few minutes; None where there is no file."""
    if export.status != "READY" or export.key is None or is_over(export):
        return None
    name = f"events-{export.range_start:%Y-%m-%d}-{export.range_end:%Y-%m-%d}"
    filename = f"{name}.{SUFFIXES[export.format]}"
    return objects.link(export.key, filename=filename, seconds=LINK_SECONDS)
