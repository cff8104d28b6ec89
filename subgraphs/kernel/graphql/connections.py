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
    edges = [Edge(cursor=to_cursor(row), node=to_node(row)) for row in page.rows]
    info = PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Connection(edges=edges, page_info=info)


def _id(row: Any) -> UUID:
    id_: UUID = row.id
    return id_
