"""The context of a GraphQL request: its viewer, its loaders and its remaining query cost."""

from collections.abc import Callable
from typing import Any, TypeVar

from strawberry.types import Info as StrawberryInfo

from subgraphs.kernel.graphql.query_cost import QueryCost
from subgraphs.kernel.identity.viewer import Viewer

L = TypeVar("L")


class Context:
    """One per request. Loaders live as long, so no row reaches another viewer's request."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._loaders: dict[Callable[[Viewer], Any], Any] = {}
        self.query_cost = QueryCost()

    def act_as(self, viewer: Viewer) -> None:
        """Continue the request as another viewer, such as the user who has just logged in."""
        self.viewer = viewer
        self._loaders.clear()

    def loader(self, make: Callable[[Viewer], L]) -> L:
        """The request's instance of a loader class, made with its viewer on first use."""
        if make not in self._loaders:
            self._loaders[make] = make(self.viewer)
        return self._loaders[make]  # type: ignore[no-any-return]  # keyed by its own factory


Info = StrawberryInfo[Context, None]
