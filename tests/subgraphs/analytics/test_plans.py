"""What the ledger is asked for most is found by its indexes, not by reading a month."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.local.stack.stack import Stack
from subgraphs.analytics import site_events
from subgraphs.analytics.pipeline import attribute
from subgraphs.analytics.site_events import Asked, Filter, Place
from subgraphs.kernel import db
from subgraphs.kernel.ids import new_id
from tests.fixtures.shop import Shop, new_shop

SITES = 12
ROWS = 2_000
"""Of each site in each table, a second apart."""

CLAIMS, VISITORS = 200, 100
"""Of each site."""

NOW = datetime.now(UTC)

_FILL = (
    """
    INSERT INTO notification_events (created_at, id, account_id, site_id, notification_id, claim_id,
        event_type, captured_at, visitor_id)
    SELECT $4::timestamptz - n * interval '1 second', gen_random_uuid(), $1, site,
           md5(site::text || n % 5)::uuid, md5(site::text || n % 200)::uuid,
           CASE WHEN n % 100 = 0 THEN 'clicked' ELSE 'shown' END, now(), 'visitor ' || n % 100
    FROM unnest($2::uuid[]) AS site, generate_series(1, $3) AS n""",
    """
    INSERT INTO events (time, id, account_id, site_id, event_type, captured_at, source, visitor_id,
        payload)
    SELECT $4::timestamptz - n * interval '1 second', gen_random_uuid(), $1, site,
           CASE WHEN n % 100 = 0 THEN 'order.created' ELSE 'page.viewed' END, now(), 'snippet',
           'visitor ' || n % 100, '{}'
    FROM unnest($2::uuid[]) AS site, generate_series(1, $3) AS n""",
)

_SCANS = text("""
    SELECT CAST(sum(seq_tup_read) AS integer), CAST(sum(idx_scan) AS integer),
           CAST(sum(idx_tup_fetch) AS integer)
    FROM pg_stat_xact_user_tables
    WHERE relname ~ '^(notification_)?events_[0-9]{4}'""")


@pytest.fixture(scope="module")
async def shop(stores: Stack) -> Shop:
    """One of many shops in months that PostgreSQL has counted."""
    shop = await new_shop()
    sites = [shop.site_id, *(uuid4() for _ in range(SITES - 1))]
    owner = await asyncpg.connect(stores.stores["postgres"])
    try:
        for fill in _FILL:
            await owner.execute(fill, shop.account_id, sites, ROWS, NOW)
        await owner.execute("ANALYZE events; ANALYZE notification_events")
    finally:
        await owner.close()
    return shop


class Scans(NamedTuple):
    """Of the ledger's partitions."""

    unasked: int
    """Rows of partitions that were read from end to end."""
    by_index: int
    rows: int
    """Fetched by way of an index."""


class Reading:
    """What is read in a session from here on. PostgreSQL's own numbers are of its connection."""

    def __init__(self, session: AsyncSession, before: Scans) -> None:
        self._session = session
        self._before = before

    @classmethod
    async def begin(cls, session: AsyncSession) -> "Reading":
        return cls(session, await _scans(session))

    async def so_far(self) -> Scans:
        now = await _scans(self._session)
        return Scans(*(after - before for after, before in zip(now, self._before, strict=True)))


async def _scans(session: AsyncSession) -> Scans:
    return Scans(*(await session.execute(_SCANS)).one())


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(types=("order.created", "claim.clicked")),
        Filter(visitor_id="visitor 7"),
        Filter(since=NOW - timedelta(seconds=90), until=NOW - timedelta(seconds=30)),
        Filter(since=NOW - timedelta(seconds=90), visitor_id="visitor 50", types=("claim.shown",)),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_a_page_of_events_is_found_by_index(
    shop: Shop, wanted: Filter, is_first: bool
) -> None:
    after = None if is_first else Place(NOW - timedelta(seconds=40), new_id(), "page.viewed")

    async with db.read_session(shop.owner) as session:
        reading = await Reading.begin(session)
        pages = await site_events.pages(session, [shop.site_id], Asked(20, after, wanted))
        read = await reading.so_far()

    assert pages[shop.site_id].entries
    assert read.unasked == 0
    assert read.by_index > 0
    assert read.rows <= 2 * ROWS  # nothing of another site's


async def test_a_page_is_read_no_further_than_it_reaches(shop: Shop) -> None:
    async with db.read_session(shop.owner) as session:
        reading = await Reading.begin(session)
        pages = await site_events.pages(session, [shop.site_id], Asked(20, None, Filter()))
        read = await reading.so_far()

    assert len(pages[shop.site_id].entries) == 20
    assert read.unasked == 0
    assert read.rows <= 2 * 21  # of each table, and whether there is more


async def test_what_became_of_a_claim_is_found_by_index(shop: Shop) -> None:
    async with db.read_session(shop.owner) as session:
        pages = await site_events.pages(session, [shop.site_id], Asked(2, None, Filter()))
        (latest,) = {it.claim_id for it in pages[shop.site_id].entries if it.claim_id}
        wanted = Filter(types=("claim.shown",), claim_id=latest)
        reading = await Reading.begin(session)
        pages = await site_events.pages(session, [shop.site_id], Asked(20, None, wanted))
        read = await reading.so_far()

    assert len(pages[shop.site_id].entries) == ROWS // CLAIMS
    assert read.unasked == 0
    assert read.rows <= ROWS


async def test_a_visitors_touches_are_found_by_index(shop: Shop) -> None:
    values = {
        "sites": [shop.site_id] * 3,
        "visitors": ["visitor 1", "visitor 0", "visitor of another shop"],
        "moments": [NOW] * 3,
        "window": attribute.WINDOW,
        "touches": list(attribute.ARMS),
    }

    async with db.service_transaction() as session:
        reading = await Reading.begin(session)
        touches = (await session.execute(attribute._TOUCHES, values)).all()
        read = await reading.so_far()

    assert [(it.place, it.event_type) for it in touches] == [(1, "shown"), (2, "clicked")]
    assert (read.unasked, read.rows) == (0, 2 * ROWS // VISITORS)
