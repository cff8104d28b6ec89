"""The archive on the real PostgreSQL and S3: what leaves, what stays, and what comes back."""

from datetime import timedelta

import pytest

from tests.fixtures.shop import new_shop
from tests.workers.archiving import (
    add,
    archive_all,
    archives_of,
    month_ago,
    partitions,
    standing,
)

pytestmark = pytest.mark.usefixtures("stores")


async def test_a_month_past_retention_is_archived_and_dropped() -> None:
    shop, other = await new_shop(), await new_shop()
    await add(shop, month_ago(6), 30)
    await add(other, month_ago(6) + timedelta(days=3), 20)
    await add(shop, month_ago(1), 10, first=100)

    await archive_all()

    assert await archives_of(shop) == [
        ("events", "DROPPED", 50),
        ("notification_events", "DROPPED", 50),
    ]
    left = await standing(shop)
    assert (len(left.events), len(left.happenings)) == (10, 10)
    assert await standing(other) == ([], [])
    assert month_ago(6) not in await partitions("events")
    assert month_ago(6) not in await partitions("notification_events")
