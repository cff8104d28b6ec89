"""Which times may be asked for."""

from datetime import UTC, datetime

from subgraphs.kernel.errors import BadUserInput

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(2106, 1, 1, tzinfo=UTC)
"""What ClickHouse's DateTime holds, to the day. Near year 1 and 9999 Python's own has no UTC."""


def check(moment: datetime, name: str) -> None:
    """Refuse a time that the stores cannot be asked with.

    Raises:
        BadUserInput: it has no offset, or is out of bounds.
    """
    if moment.tzinfo is None:
        raise BadUserInput(f"`{name}` needs an offset, like 2026-01-02T00:00:00Z.")
    if not EARLIEST <= moment <= LATEST:
        raise BadUserInput(f"`{name}` must be between 1970 and 2105.")


def check_range(start: datetime, end: datetime) -> None:
    """Refuse a range that the stores cannot be asked with.

    Raises:
        BadUserInput: a time without an offset or out of bounds, or an end that is not after the
            start.
    """
    check(start, "start")
    check(end, "end")
    if end <= start:
        raise BadUserInput("`end` must be after `start`.")
