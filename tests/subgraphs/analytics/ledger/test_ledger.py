"""The ledger identifies rows by their complete key."""

from datetime import UTC, datetime

import msgspec
import pytest

from subgraphs.analytics import ledger
from subgraphs.kernel import db
from subgraphs.kernel.ids import new_id
from tests.fixtures.active_shop import open_shop
from tests.workers.stream.ledgers import rows

pytestmark = pytest.mark.usefixtures("stores")


async def test_an_event_id_may_exist_at_two_sites() -> None:
    shop, other = await open_shop(), await open_shop()
    time = datetime.now(UTC).replace(microsecond=0)
    stored, mine = shop.order(1, placed=time), shop.order(2, placed=time)
    theirs = msgspec.structs.replace(
        other.order(2, placed=time), id=mine.id, occurred_at=mine.occurred_at, type=mine.type
    )
    async with db.service_transaction() as session:
        await ledger.add_events(session, [stored])

    async with db.service_transaction() as session:
        assert await ledger.add_events(session, [stored, mine, theirs]) == [mine, theirs]

    assert sorted(await rows("SELECT site_id FROM events WHERE id = :id", id=mine.id)) == sorted(
        [(shop.site_id,), (other.site_id,)]
    )


async def test_a_notification_event_id_may_exist_at_two_sites() -> None:
    time = datetime.now(UTC).replace(microsecond=0)
    first = ledger.NotificationEvent(
        time, new_id(), new_id(), new_id(), new_id(), new_id(), "shown", time
    )
    second = first._replace(site_id=new_id())
    async with db.service_transaction() as session:
        await ledger.add_notification_events(session, [first])

    async with db.service_transaction() as session:
        assert await ledger.add_notification_events(session, [first, second]) == [second]
