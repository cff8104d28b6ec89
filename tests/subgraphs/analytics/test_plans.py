"""The most frequent queries of the ledger use its indexes instead of scanning a partition."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.local.stack.stack import Stack
from subgraphs.analytics.pipeline import attribute
from subgraphs.analytics.site_events.cursor import Position
from subgraphs.analytics.site_events.query import EventFilter, EventsQuery
from subgraphs.analytics.site_events.service import list_for_sites
from subgraphs.kernel import db
from subgraphs.kernel.ids import new_id
from tests.fixtures.shop import Shop, new_shop

SITES = 12
ROWS = 2_000
"""Of each site in each table, one a second."""

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
    WHERE relname ~ ('^(notification_)?events_(' || :months || ')')""")
"""Other months may have few rows of other tests, which PostgreSQL reads sequentially."""

_MONTHS = "|".join(
    sorted({f"{at:%Y_%m}" for at in (NOW, NOW - timedelta(seconds=ROWS))}),
)


@pytest.fixture(scope="module")
async def shop(stores: Stack) -> Shop:
    """One of many shops in partitions that PostgreSQL has analysed."""
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
    """Scans of the ledger's partitions."""

    sequential_rows: int
    """Rows read by sequential scans."""
    index_scans: int
    index_rows: int
    """Rows fetched by index scans."""


class Reading:
    """The scans of a session since a point in time. PostgreSQL counts them by connection."""

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
    return Scans(*(await session.execute(_SCANS, {"months": _MONTHS})).one())


@pytest.mark.parametrize(
    "filter_",
    [
        EventFilter(),
        EventFilter(types=("order.created", "claim.clicked")),
        EventFilter(visitor_id="visitor 7"),
        EventFilter(since=NOW - timedelta(seconds=90), until=NOW - timedelta(seconds=30)),
        EventFilter(
            since=NOW - timedelta(seconds=90), visitor_id="visitor 50", types=("claim.shown",)
        ),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_page_of_events_uses_an_index(
    shop: Shop, filter_: EventFilter, is_first: bool
) -> None:
    after = None if is_first else Position(NOW - timedelta(seconds=40), new_id(), "page.viewed")

    async with db.read_session(shop.owner) as session:
        reading = await Reading.begin(session)
        pages = await list_for_sites(session, [shop.site_id], EventsQuery(20, after, filter_))
        scans = await reading.so_far()

    assert pages[shop.site_id].rows
    assert scans.sequential_rows == 0
    assert scans.index_scans > 0
    assert scans.index_rows <= 2 * ROWS  # no rows of another site


async def test_page_reads_no_rows_beyond_its_end(shop: Shop) -> None:
    async with db.read_session(shop.owner) as session:
        reading = await Reading.begin(session)
        pages = await list_for_sites(session, [shop.site_id], EventsQuery(20, None, EventFilter()))
        scans = await reading.so_far()

    assert len(pages[shop.site_id].rows) == 20
    assert scans.sequential_rows == 0
    assert (
        scans.index_rows <= 2 * 21
    )  # of each table a page, and one row to know whether more follow


async def test_events_of_a_claim_use_an_index(shop: Shop) -> None:
    async with db.read_session(shop.owner) as session:
        pages = await list_for_sites(session, [shop.site_id], EventsQuery(2, None, EventFilter()))
        (latest,) = {it.claim_id for it in pages[shop.site_id].rows if it.claim_id}
        filter_ = EventFilter(types=("claim.shown",), claim_id=latest)
        reading = await Reading.begin(session)
        pages = await list_for_sites(session, [shop.site_id], EventsQuery(20, None, filter_))
        scans = await reading.so_far()

    assert len(pages[shop.site_id].rows) == ROWS // CLAIMS
    assert scans.sequential_rows == 0
    assert scans.index_rows <= ROWS


async def test_touches_of_a_visitor_use_an_index(shop: Shop) -> None:
    values = {
        "sites": [shop.site_id] * 3,
        "visitors": ["visitor 1", "visitor 0", "visitor of another shop"],
        "times": [NOW] * 3,
        "window": attribute.WINDOW,
        "touches": list(attribute.ARMS),
    }

    async with db.service_transaction() as session:
        reading = await Reading.begin(session)
        touches = (await session.execute(attribute._TOUCHES, values)).all()
        scans = await reading.so_far()

    assert [(it.position, it.event_type) for it in touches] == [(1, "shown"), (2, "clicked")]
    assert (scans.sequential_rows, scans.index_rows) == (0, 2 * ROWS // VISITORS)
