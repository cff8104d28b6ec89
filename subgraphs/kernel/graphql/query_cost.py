"""The query cost: how many points of series one request may return."""

from subgraphs.kernel.errors import BadUserInput

MAX_QUERY_COST = 50_000
"""Points of all series in one request. As many take 2 s of the event loop and 100 MB."""


class QueryCost:
    """What one request may still spend."""

    def __init__(self) -> None:
        self._left = MAX_QUERY_COST

    def charge(self, points: int) -> None:
        """Charge for points before they are read.

        Raises:
            BadUserInput: the request has fewer points left.
        """
        if points > self._left:
            raise BadUserInput(
                f"A request may return at most {MAX_QUERY_COST} points in all: request fewer "
                "series, lists or groups, a shorter range, or days instead of hours."
            )
        self._left -= points
