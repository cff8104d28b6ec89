"""Relay connections: the GraphQL types of a page (https://relay.dev/graphql/connections.htm)."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

import strawberry

from subgraphs.kernel.graphql.paging import M, Page, cursor_of

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


def connection(page: Page[M], to_node: Callable[[M], N]) -> Connection[N]:
    """Convert a page of rows to a connection.

    Args:
        to_node: converts a row to its GraphQL type.
    """
    edges = [Edge(cursor=cursor_of(_id(row)), node=to_node(row)) for row in page.rows]
    info = PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Connection(edges=edges, page_info=info)


def _id(row: Any) -> UUID:
    return UUID(str(row.id))
