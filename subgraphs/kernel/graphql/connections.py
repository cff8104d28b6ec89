"""Relay connections, as GraphQL shows the pages of `paging.py`."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

import strawberry

from subgraphs.kernel.graphql.paging import Page, R, cursor_of

N = TypeVar("N")


@strawberry.federation.type(shareable=True)
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class Edge(Generic[N]):
    cursor: str
    node: N


@strawberry.type
class Connection(Generic[N]):
    edges: list[Edge[N]]
    page_info: PageInfo


def connection(
    page: Page[R],
    to_node: Callable[[R], N],
    to_cursor: Callable[[R], str] = lambda row: cursor_of(_id(row)),
) -> Connection[N]:
    """The page as a Relay connection.

    Args:
        to_cursor: A row's cursor. By default it is made from the row's `id`.
    """
    rows = page.rows
    edges: list[Edge[N]] = [_LazyEdge(row, to_node(row), to_cursor) for row in rows]
    info = PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=to_cursor(rows[0]) if rows else None,
        end_cursor=to_cursor(rows[-1]) if rows else None,
    )
    return Connection(edges=edges, page_info=info)


class _LazyEdge(Edge[N]):
    """An edge that makes its cursor when it is read: few documents select the cursors of rows."""

    def __init__(self, row: R, node: N, to_cursor: Callable[[R], str]) -> None:
        self.node = node
        self._row = row
        self._to_cursor = to_cursor

    @property
    def cursor(self) -> str:  # type: ignore[override]  # read only
        return self._to_cursor(self._row)


def _id(row: Any) -> UUID:
    id_: UUID = row.id
    return id_
