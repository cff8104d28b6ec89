"""Keyset pagination: newest first, with the row's UUIDv7 as the cursor.

One statement serves all parents of a batch: a page of sites with their notifications needs the same
number of statements for one site as for fifty.
"""

import base64
import binascii
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, any_, bindparam, func, select, true
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import InstrumentedAttribute, aliased

from subgraphs.kernel.db import Base
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.reads import Session, Statement, rows, uuids

MAX_PAGE = 100
"""Rows of one page at most."""

M = TypeVar("M", bound=Base)
R = TypeVar("R")


class Page(NamedTuple, Generic[R]):
    """The rows of one page, and whether rows follow or precede it."""

    rows: Sequence[R]
    has_next: bool
    has_previous: bool


class Window(NamedTuple):
    """The requested part of a list. Hashable, so it can be part of a loader's key."""

    first: int
    before_id: UUID | None
    """Only rows older than this one; None starts at the newest row."""


def window(first: int, after: str | None) -> Window:
    """Parse the arguments of a connection.

    Raises:
        BadUserInput: `first` is outside 1 to 100, or `after` is not a cursor of a page.
    """
    return Window(check_first(first), _decode(after) if after is not None else None)


def check_first(first: int) -> int:
    """`first`, if a page may have as many rows.

    Raises:
        BadUserInput: `first` is outside 1 to 100.
    """
    if not 1 <= first <= MAX_PAGE:
        raise BadUserInput(f"`first` must be between 1 and {MAX_PAGE}.")
    return first


async def pages_by_parent(
    session: Session,
    model: type[M],
    parent: InstrumentedAttribute[UUID],
    parent_ids: Collection[UUID],
    requested: Window,
    *where: ColumnElement[bool],
) -> dict[UUID, Page[M]]:
    """The requested window of each parent's children, in one statement.

    Args:
        parent: the column of `model` that holds the parent's id.
        where: further conditions on the children. Each is an object made once, since the compiled
            statement is kept by it.
    """
    cursor = {"before_id": requested.before_id} if requested.before_id else {}
    found = await rows(
        session,
        _children(model, parent, where, bool(cursor)),
        parent_ids=list(set(parent_ids)),
        limit=requested.first + 1,
        **cursor,
    )
    grouped: dict[UUID, list[M]] = {parent_id: [] for parent_id in parent_ids}
    for row in found:
        grouped[getattr(row, parent.key)].append(row)
    return {key: _page(children, requested) for key, children in grouped.items()}


async def page(session: Session, model: type[M], requested: Window) -> Page[M]:
    """The requested window of all rows that the viewer may see."""
    cursor = {"before_id": requested.before_id} if requested.before_id else {}
    statement = _newest(model, bool(cursor))
    found = await rows(session, statement, limit=requested.first + 1, **cursor)
    return _page(found, requested)


@lru_cache(maxsize=128)
def _children(
    model: type[M],
    parent: InstrumentedAttribute[UUID],
    where: tuple[ColumnElement[bool], ...],
    has_cursor: bool,
) -> Statement[M]:
    id_ = model.__mapper__.primary_key[0]
    parents = func.unnest(uuids("parent_ids"))
    ids = parents.table_valued("id", name="parents").render_derived()
    newest = select(model).where(parent == any_(array([ids.c.id])), *where)
    if has_cursor:
        newest = newest.where(id_ < bindparam("before_id"))
    # Each parent has a LIMIT of its own: PostgreSQL reads the index on (parent, id DESC) only as
    # far as the page reaches. `= ANY(array)` instead of `=` rules out the primary key's index, with
    # which a parent without children would cost a scan of all rows.
    children = newest.order_by(parent, id_.desc()).limit(bindparam("limit")).lateral()
    statement = select(aliased(model, children)).select_from(ids.join(children, true()))
    return Statement(statement.order_by(children.c[id_.name].desc()))


@lru_cache(maxsize=128)
def _newest(model: type[M], has_cursor: bool) -> Statement[M]:
    id_ = model.__mapper__.primary_key[0]
    statement = select(model).order_by(id_.desc()).limit(bindparam("limit"))
    return Statement(statement.where(id_ < bindparam("before_id")) if has_cursor else statement)


def _page(found: Sequence[M], requested: Window) -> Page[M]:
    return Page(
        found[: requested.first], len(found) > requested.first, requested.before_id is not None
    )


def cursor_of(id_: UUID) -> str:
    """The opaque cursor of a row: its id, in URL-safe base64."""
    return base64.urlsafe_b64encode(id_.bytes).rstrip(b"=").decode()


def _decode(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise BadUserInput(
            "`after` is not a cursor of this list: pass an `endCursor` or an edge's `cursor`."
        ) from error
