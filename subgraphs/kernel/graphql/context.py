"""What a GraphQL request carries: its viewer, its loaders, and the points it may still have."""

from collections.abc import Callable
from typing import Any, TypeVar

from starlette.requests import HTTPConnection
from strawberry.fastapi import BaseContext
from strawberry.types import Info as StrawberryInfo

from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.graphql.limits import MAX_QUERY_COST
from subgraphs.kernel.identity.viewer import Viewer, ViewerVerifier

L = TypeVar("L")


class Context(BaseContext):
    """One per request; loaders live as long, so nothing leaks into another viewer's request."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self._loaders: dict[Callable[[Viewer], Any], Any] = {}
        self._cost_left = MAX_QUERY_COST

    def act_as(self, viewer: Viewer) -> None:
        """Let the rest of the request see what someone who just logged in may see."""
        self.viewer = viewer
        self._loaders.clear()

    def loader(self, make: Callable[[Viewer], L]) -> L:
        """The request's one instance of a loader class, made with its viewer on first use."""
        if make not in self._loaders:
            self._loaders[make] = make(self.viewer)
        return self._loaders[make]  # type: ignore[no-any-return]  # keyed by its own factory

    def charge(self, points: int) -> None:
        """Take points of a series from what the request may have, before they are made.

        Raises:
            BadUserInput: they are more than is left.
        """
        if points > self._cost_left:
            raise BadUserInput(
                f"A request may return at most {MAX_QUERY_COST} points in all: request fewer "
                "series, lists or groups, a shorter range, or days instead of hours."
            )
        self._cost_left -= points


Info = StrawberryInfo[Context, None]


def context_getter(verifier: ViewerVerifier) -> Callable[[HTTPConnection], Context]:
    """A dependency that verifies the viewer before anything of the request is read."""

    def get_context(connection: HTTPConnection) -> Context:
        return Context(verifier.verify(connection.headers))

    return get_context
