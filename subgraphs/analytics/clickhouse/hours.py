"""Hours of UTC, the unit in which counts are rolled up."""

from datetime import UTC, datetime, timedelta

from subgraphs.kernel.config import settings

HOUR = timedelta(hours=1)


def start_of_hour(time: datetime) -> datetime:
    """The start of the hour of UTC that contains a time."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def first_countable_hour() -> datetime:
    """The first hour whose raw events are all retained, so that it can be counted again."""
    return start_of_hour(datetime.now(UTC)) - timedelta(days=settings().raw_retention_days)
