"""Reads of loaders and look-ups: statements compiled once, run by asyncpg itself.

    SITES = Statement(select(Site).where(Site.id == any_(bindparam("ids", type_=ARRAY(Uuid)))))

    async with db.read(viewer) as session:
        sites = await rows(session, SITES, ids=ids)

An AsyncSession compiles (or finds) a statement, makes ORM objects and takes five round trips for
one small read. A `ReadSession` takes three: the transaction with the viewer's settings, the
statement, the end of the transaction. `rows` accepts either, so that one service function serves
loaders and mutations.
"""

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar, cast, overload
from uuid import UUID

import asyncpg
from sqlalchemy import ARRAY as _ARRAY
from sqlalchemy import BindParameter, Select, Uuid, bindparam
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.ext.asyncio import AsyncSession

R = TypeVar("R")

_DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]


class Row(asyncpg.Record):
    """A row whose columns are attributes, as those of a model's object."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


class Statement(Generic[R]):
    """A SELECT with named parameters; compiled on first use.

    A SELECT of one column gives values. A SELECT of a model, or of several columns, gives rows:
    under a `ReadSession` they are `Row`s, which have the model's columns as attributes and nothing
    else of it.
    """

    @overload
    def __init__(self: "Statement[R]", select: Select[R]) -> None: ...

    @overload
    def __init__(self: "Statement[Any]", select: Select[*tuple[Any, ...]]) -> None: ...

    def __init__(self, select: Select[Any]) -> None:
        self.select = select
        described = select.column_descriptions
        self._is_one = len(described) == 1
        self.gives_values = self._is_one and not _is_entity(described[0])

    async def run(self, connection: "asyncpg.Connection[Row]", values: dict[str, Any]) -> list[R]:
        sql, parameters = self._compiled
        arguments = [values.get(name, given) for name, given in parameters]
        found = await connection.fetch(sql, *arguments, record_class=Row)
        return [row[0] for row in found] if self.gives_values else cast(list[R], found)

    async def run_in(self, session: AsyncSession, values: dict[str, Any]) -> list[R]:
        if self._is_one:
            return list((await session.scalars(self.select, values)).all())
        return cast(list[R], (await session.execute(self.select, values)).all())

    @cached_property
    def _compiled(self) -> tuple[str, list[tuple[str, Any]]]:
        """The SQL, and each parameter's name and value, in the order of $1, $2, …"""
        compiled = self.select.compile(dialect=_DIALECT)
        names = compiled.positiontup or []
        return str(compiled), [(name, compiled.params[name]) for name in names]


class ReadSession:
    """A read-only transaction in which row-level security shows a viewer's rows."""

    def __init__(self, connection: "asyncpg.Connection[Row]") -> None:
        self._connection = connection

    async def rows(self, statement: Statement[R], **values: Any) -> list[R]:
        """The rows of a statement."""
        return await statement.run(self._connection, values)

    async def execute(self, sql: str, *arguments: Any) -> None:
        """Run a statement for its effect on the transaction, such as a setting."""
        await self._connection.fetch(sql, *arguments)


Session = AsyncSession | ReadSession


async def rows(session: Session, statement: Statement[R], **values: Any) -> Sequence[R]:
    """The rows of a statement, in either kind of session."""
    if isinstance(session, ReadSession):
        return await statement.run(session._connection, values)
    return await statement.run_in(session, values)


async def first(session: Session, statement: Statement[R], **values: Any) -> R | None:
    """The first row of a statement, or None."""
    found = await rows(session, statement, **values)
    return found[0] if found else None


def uuids(name: str) -> BindParameter[Collection[UUID]]:
    """A parameter that takes any number of UUIDs: `Site.id == any_(uuids("ids"))`."""
    return bindparam(name, type_=_ARRAY(Uuid))


def _is_entity(described: Any) -> bool:
    return described.get("entity") is not None and described["expr"] is described["entity"]
