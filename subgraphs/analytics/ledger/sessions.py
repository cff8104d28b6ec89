"""Sessions: a visitor's events at a site with at most `SILENCE` between one and the next."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

SILENCE = timedelta(minutes=30)
"""After this time without an event the next event begins a new session, as in web analytics
generally."""


def sessions_of(times: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """The sessions of these events, each from its first event to `SILENCE` after its last."""
    sessions: list[tuple[datetime, datetime]] = []
    for time in sorted(times):
        if sessions and time <= sessions[-1][1]:
            sessions[-1] = sessions[-1][0], time + SILENCE
        else:
            sessions.append((time, time + SILENCE))
    return sessions


def from_milliseconds(milliseconds: int) -> datetime:
    """The time of so many milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def to_milliseconds(time: datetime) -> int:
    """Milliseconds since 1970."""
    return round(time.timestamp() * 1000)
