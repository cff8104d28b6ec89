"""What is counted, how counts are grouped, and how long a bucket is."""

from enum import Enum, StrEnum


class Metric(Enum):
    """A metric that callers can query. The value is its name in ClickHouse."""

    ORDERS = "orders"
    PAGE_VIEWS = "page_views"
    PUBLISHED = "published"
    SHOWN = "shown"
    CLICKED = "clicked"
    DISMISSED = "dismissed"
    CONVERTED = "converted"
    CONVERTED_SHOWN = "converted_shown"
    CONVERTED_HELD_OUT = "converted_held_out"
    WITHHELD = "withheld"
    RETRACTED = "retracted"
    REVENUE = "revenue"


class Dimension(StrEnum):
    """A property that counts are grouped by. The value is its name in ClickHouse.

    A count without a dimension is the total of the site; its rows have an empty name and key.
    """

    NOTIFICATION = "notification"
    VARIANT = "variant"
    PAGE = "page"
    DEVICE = "device"
    COUNTRY = "country"


class Granularity(Enum):
    """The length of a bucket, in UTC."""

    HOUR = "HOUR"
    DAY = "DAY"


REVENUE_METRICS = {
    "converted": "revenue",
    "converted_shown": "revenue_shown",
    "converted_held_out": "revenue_held_out",
}
"""The revenue metric of each kind of conversion. Each currency is counted apart, under the name
`revenue:<currency>`; a query for `revenue` returns all currencies."""
