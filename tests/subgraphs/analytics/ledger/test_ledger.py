"""The ledger's rows are told apart by their whole key."""

from datetime import UTC, datetime

import msgspec
import pytest

from subgraphs.analytics import ledger
from subgraphs.kernel import db
from subgraphs.kernel.ids import new_id
from tests.fixtures.active_shop import open_shop
from tests.workers.stream.ledgers import rows

pytestmark = pytest.mark.usefixtures("stores")


async def test_two_sites_may_have_events_of_one_id_and_each_counts() -> None:
    shop, other = await open_shop(), await open_shop()
    moment = datetime.now(UTC).replace(microsecond=0)
    known, mine = shop.order(1, placed=moment), shop.order(2, placed=moment)
    theirs = msgspec.structs.replace(
        other.order(2, placed=moment), id=mine.id, occurred_at=mine.occurred_at, type=mine.type
    )
    async with db.service_transaction() as session:
        await ledger.add_events(session, [known])

    async with db.service_transaction() as session:
        assert await ledger.add_events(session, [known, mine, theirs]) == [mine, theirs]

    assert sorted(await rows("SELECT site_id FROM events WHERE id = :id", id=mine.id)) == sorted(
        [(shop.site_id,), (other.site_id,)]
    )


async def test_what_happened_at_one_site_is_not_known_at_another() -> None:
    moment = datetime.now(UTC).replace(microsecond=0)
    first = ledger.NotificationEvent(
        moment, new_id(), new_id(), new_id(), new_id(), new_id(), "shown", moment
    )
    second = first._replace(site_id=new_id())
    async with db.service_transaction() as session:
        await ledger.add_notification_events(session, [first])

    async with db.service_transaction() as session:
        assert await ledger.add_notification_events(session, [first, second]) == [second]
