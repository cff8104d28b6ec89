"""Pages by keyset: newest first, the row's UUIDv7 is the cursor.

One statement serves every parent of a batch, so a page of sites with their notifications costs the
same number of statements whether it holds one site or fifty.
"""

import base64
import binascii
from collections.abc import Collection, Sequence
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, any_, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from subgraphs.kernel.db import Base
from subgraphs.kernel.errors import BadUserInput

MAX_PAGE = 100

M = TypeVar("M", bound=Base)
R = TypeVar("R")


class Page(NamedTuple, Generic[R]):
    """Rows of one page, and whether more follow."""

    rows: Sequence[R]
    has_next: bool
    has_previous: bool


class Window(NamedTuple):
    """Which part of a list was asked for; hashable, so that it can be part of a loader's key."""

    first: int
    before_id: UUID | None
    """Rows older than this one; None starts at the newest."""


def window(first: int, after: str | None) -> Window:
    """Check a connection's arguments.

    Raises:
        BadUserInput: `first` out of 1..100, or a cursor that none of our pages gave.
    """
    check_first(first)
    return Window(first, _decode(after) if after is not None else None)


def check_first(first: int) -> None:
    """Check the number of rows that a page may have.

    Raises:
        BadUserInput: `first` is out of 1..100.
    """
    if not 1 <= first <= MAX_PAGE:
        raise BadUserInput(f"`first` must be between 1 and {MAX_PAGE}.")


async def pages_by_parent(
    session: AsyncSession,
    model: type[M],
    parent: InstrumentedAttribute[UUID],
    parent_ids: Collection[UUID],
    asked: Window,
    *where: ColumnElement[bool],
) -> dict[UUID, Page[M]]:
    """The same window of each parent's children, in one statement."""
    id_ = model.__mapper__.primary_key[0]
    parents = func.unnest(literal(list(set(parent_ids)), ARRAY(Uuid)))
    ids = parents.table_valued("id", name="parents").render_derived()
    newest = select(model).where(parent == any_(array([ids.c.id])), *where)
    if asked.before_id:
        newest = newest.where(id_ < asked.before_id)
    # Each parent's own LIMIT: the index of (parent, id DESC) is read as far as the page reaches.
    # With an array, if of one, no other index has this order. Were the parent said to be equal, the
    # primary key would have it too, and a parent without children could cost all rows there are.
    children = newest.order_by(parent, id_.desc()).limit(asked.first + 1).lateral()
    statement = select(aliased(model, children)).select_from(ids.join(children, true()))
    rows = (await session.scalars(statement.order_by(children.c[id_.name].desc()))).all()
    grouped: dict[UUID, list[M]] = {parent_id: [] for parent_id in parent_ids}
    for row in rows:
        grouped[getattr(row, parent.key)].append(row)
    return {key: _page(found, asked) for key, found in grouped.items()}


async def page(session: AsyncSession, model: type[M], asked: Window) -> Page[M]:
    """A window of all the rows that the viewer may see."""
    id_ = model.__mapper__.primary_key[0]
    statement = select(model).order_by(id_.desc()).limit(asked.first + 1)
    if asked.before_id:
        statement = statement.where(id_ < asked.before_id)
    return _page(list(await session.scalars(statement)), asked)


def _page(rows: list[M], asked: Window) -> Page[M]:
    return Page(rows[: asked.first], len(rows) > asked.first, asked.before_id is not None)


def cursor_of(id_: UUID) -> str:
    return base64.urlsafe_b64encode(id_.bytes).rstrip(b"=").decode()


def _decode(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise BadUserInput("`after` is not a cursor of this list.") from error
