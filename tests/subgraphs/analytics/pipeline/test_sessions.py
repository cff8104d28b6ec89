"""Visitor profiles: exact in any order, batching and repetition of the events."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from subgraphs.analytics.ledger import profiles
from subgraphs.analytics.ledger.sessions import SILENCE, sessions_of
from subgraphs.analytics.pipeline.check_timestamps import truncated
from subgraphs.kernel import db
from subgraphs.kernel.identity.tenants import set_limits
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.streams.envelope import Event
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.workers.stream.ledgers import claim_ids, new_stream, rows
from workers.deletion import delete_visitor_profiles
from workers.visitor_profiles import fold_all

pytestmark = pytest.mark.usefixtures("stores")

NOW = truncated(datetime.now(UTC)) - timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class Profile(NamedTuple):
    session_count: int
    behavior_score: float
    views: int
    shown: int
    clicks: int
    dismissals: int
    withheld: int
    goals: int
    orders: int
    first_seen_at: datetime
    last_seen_at: datetime


async def profiles_of(shop: ActiveShop) -> dict[str, Profile]:
    found: list[Any] = await rows(
        "SELECT visitor_id, session_count, behavior_score, views, shown, clicks, dismissals,"
        " withheld, goals, orders, first_seen_at, last_seen_at"
        " FROM visitor_profiles WHERE site_id = :site ORDER BY visitor_id",
        site=shop.site_id,
    )
    return {visitor: Profile(*row) for visitor, *row in found}


def viewed(shop: ActiveShop, at: datetime, visitor: str = "anna", **changes: Any) -> Event:
    view = Event(
        id=new_id(),
        site_id=shop.site_id,
        account_id=shop.account_id,
        type="page.viewed",
        occurred_at=at,
        captured_at=at,
        source="snippet",
        visitor_id=visitor,
        payload={"page": "/shoes"},
    )
    return msgspec.structs.replace(view, **changes)


async def process(*events: Event) -> None:
    """Process the events, then fold the journal into the profiles."""
    stream = await new_stream()
    await stream.append(*events)
    await stream.drain()
    await fold_all()


def score(sessions: int, views: int = 0, clicks: int = 0, goals: int = 0, orders: int = 0) -> float:
    points = 2 * (sessions - 1) + views + 5 * clicks + 10 * goals + 20 * orders
    return points / (points + 20)


async def test_a_profile_adds_up_its_visitors_events() -> None:
    shop = await open_shop()
    order = msgspec.structs.replace(shop.order(placed=NOW), visitor_id="anna")
    (claim_id,) = claim_ids(shop, [order])

    def of_anna(kind: str, minutes: int) -> Event:
        event = shop.claim_event(kind, claim_id, at=NOW + minutes * MINUTE)
        return msgspec.structs.replace(event, visitor_id="anna")

    await process(
        order,
        viewed(shop, NOW - 40 * MINUTE),
        viewed(shop, NOW - 9 * MINUTE),
        viewed(shop, NOW - 8 * MINUTE, "berit"),
        viewed(shop, NOW + 3 * MINUTE, type="goal.reached"),
        viewed(shop, NOW, visitor_id=None),
        *(of_anna(kind, 2) for kind in ("shown", "shown", "clicked", "dismissed", "withheld")),
    )

    assert await profiles_of(shop) == {
        "anna": Profile(
            session_count=2,
            behavior_score=score(2, views=2, clicks=1, goals=1, orders=1),
            views=2,
            shown=2,
            clicks=1,
            dismissals=1,
            withheld=1,
            goals=1,
            orders=1,
            first_seen_at=NOW - 40 * MINUTE,
            last_seen_at=NOW + 3 * MINUTE,
        ),
        "berit": Profile(1, 1 / 21, 1, 0, 0, 0, 0, 0, 0, *[NOW - 8 * MINUTE] * 2),
    }


async def test_half_an_hour_of_silence_is_one_session_and_more_is_two() -> None:
    shop = await open_shop()
    ms = timedelta(milliseconds=1)
    for visitor, pause in (("anna", SILENCE), ("berit", SILENCE + ms)):
        await process(viewed(shop, NOW, visitor))
        await process(viewed(shop, NOW + pause, visitor))

    counts = {name: one.session_count for name, one in (await profiles_of(shop)).items()}
    assert counts == {"anna": 1, "berit": 2}


async def test_a_late_event_between_two_sessions_makes_them_one() -> None:
    shop = await open_shop()
    await process(viewed(shop, NOW - 50 * MINUTE), viewed(shop, NOW))
    before = (await profiles_of(shop))["anna"].session_count

    await process(viewed(shop, NOW - 25 * MINUTE, captured_at=NOW + MINUTE))

    assert (before, (await profiles_of(shop))["anna"].session_count) == (2, 1)


async def test_old_sessions_are_only_counted() -> None:
    shop = await open_shop()
    for day in range(5):
        await process(viewed(shop, NOW - timedelta(days=4 - day)))

    kept: list[Any] = await rows(
        "SELECT session_count, closed_sessions, (SELECT count(*) FROM unnest(open_sessions))"
        " FROM visitor_profiles WHERE site_id = :site",
        site=shop.site_id,
    )
    assert kept == [(5, 3, 2)]


async def test_an_order_makes_no_session() -> None:
    shop = await open_shop()
    await process(msgspec.structs.replace(shop.order(placed=NOW), visitor_id="anna"))

    profile = (await profiles_of(shop))["anna"]
    assert (profile.session_count, profile.orders, profile.behavior_score) == (0, 1, 0.5)


def test_sessions_reach_to_half_an_hour_after_their_last_event() -> None:
    times = [NOW, NOW + 29 * MINUTE, NOW + 60 * MINUTE, NOW + 5 * MINUTE]
    assert sessions_of(times) == [
        (NOW, NOW + 59 * MINUTE),
        (NOW + 60 * MINUTE, NOW + 90 * MINUTE),
    ]
    assert sessions_of([]) == []


async def test_concurrent_folds_count_once_and_a_failed_fold_loses_nothing() -> None:
    shop, stream = await open_shop(), await new_stream()
    await fold_all()
    await stream.append(*(viewed(shop, NOW + n * MINUTE) for n in range(12)))
    await stream.drain(limit=2)

    async def fold_some(*, then: int = 1) -> int:
        async with db.service_transaction() as session:
            return await profiles.fold_journal(session, most=2) // then

    with pytest.raises(ZeroDivisionError):
        await fold_some(then=0)
    assert await profiles_of(shop) == {}

    folded = await asyncio.gather(*(fold_some() for _ in range(4)))

    assert sum(folded) == 6
    (profile,) = (await profiles_of(shop)).values()
    assert (profile.views, profile.session_count) == (12, 1)


async def test_profiles_past_retention_are_deleted() -> None:
    shop, longer = await open_shop(), await open_shop()
    for one, days in ((shop, 90), (longer, 400)):
        async with db.transaction(one.owner) as session:
            await set_limits(
                session, site_id=one.site_id, events_per_second=50, retention_days=days
            )
        await process(viewed(one, NOW - timedelta(hours=1), "anna"), viewed(one, NOW, "berit"))

    await delete_visitor_profiles(NOW + timedelta(days=90))

    assert list(await profiles_of(shop)) == ["berit"]
    assert list(await profiles_of(longer)) == ["anna", "berit"]
