"""Analytics through its schema, on the real stores."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest

from subgraphs.analytics.clickhouse import rollups, store
from subgraphs.analytics.clickhouse.store import RawEvent
from subgraphs.analytics.schema import schema
from subgraphs.kernel.graphql.context import Context
from subgraphs.kernel.graphql.query_cost import MAX_QUERY_COST
from subgraphs.kernel.identity.viewer import NOBODY
from subgraphs.kernel.ids import new_id
from tests.fixtures.graph import Answer, counted_statements, run, user
from tests.fixtures.shop import Shop, more_sites, new_shop

pytestmark = pytest.mark.usefixtures("stores")

ANALYTICS = """
query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!, $granularity: Granularity!) {
  _entities(representations: $sites) {
    ... on Site {
      id
      analytics(start: $start, end: $end, granularity: $granularity) {
        totals { orders published shown clicked dismissed }
        points { start counters { orders published shown clicked dismissed } }
      }
    }
  }
}"""
TOTALS = """
query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!) {
  _entities(representations: $sites) {
    ... on Site { analytics(start: $start, end: $end) { totals { shown } } }
  }
}"""
DAY = timedelta(days=1)
START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 100 * DAY
QUARTER_END = (START + 92 * DAY).isoformat()
QUARTER_HOURS = 92 * 24
NOTHING = {"orders": 0, "published": 0, "shown": 0, "clicked": 0, "dismissed": 0}


async def ask(
    shop: Shop,
    *site_ids: UUID,
    start: str = START.isoformat(),
    end: str = (START + DAY).isoformat(),
    granularity: str = "HOUR",
) -> Answer:
    sites = [{"__typename": "Site", "id": str(id_)} for id_ in site_ids or (shop.site_id,)]
    asked: dict[str, Any] = {
        "sites": sites,
        "start": start,
        "end": end,
        "granularity": granularity,
    }
    return await run(schema, shop.owner, ANALYTICS, **asked)


async def count(site_id: UUID, metric: str, *hours: float) -> None:
    """Have something happen, each so many hours after START."""
    now = datetime.now(UTC)
    await store.add(
        [
            RawEvent(site_id, metric, START + timedelta(hours=hour), new_id(), None, None, now)
            for hour in hours
        ]
    )


def numbers(answer: Answer) -> Any:
    ((site,),) = (answer.data["_entities"],)
    return site["analytics"]


async def test_every_hour_has_a_point_and_the_totals_are_their_sum() -> None:
    shop = await new_shop()
    await count(shop.site_id, "orders", 0)
    await count(shop.site_id, "published", 0)
    await count(shop.site_id, "shown", 0, 0.5, 0.999, 23.99, 24)
    await count(shop.site_id, "clicked", 7, -0.01)
    await count(shop.site_id, "dismissed", 8)

    answer = await ask(shop)

    found = numbers(answer)
    assert answer.codes == []
    assert found["totals"] == {
        "orders": 1,
        "published": 1,
        "shown": 4,
        "clicked": 1,
        "dismissed": 1,
    }
    assert [point["start"] for point in found["points"]] == [
        (START + timedelta(hours=hour)).isoformat() for hour in range(24)
    ]
    by_hour = [point["counters"] for point in found["points"]]
    assert by_hour[0] == {**NOTHING, "orders": 1, "published": 1, "shown": 3}
    assert by_hour[7] == {**NOTHING, "clicked": 1}
    assert by_hour[8] == {**NOTHING, "dismissed": 1}
    assert by_hour[23] == {**NOTHING, "shown": 1}
    assert [hour for hour, it in enumerate(by_hour) if it != NOTHING] == [0, 7, 8, 23]


async def test_days_are_of_utc_and_a_range_is_widened_to_whole_ones() -> None:
    shop = await new_shop()
    await count(shop.site_id, "shown", 0, 23, 24, 71)
    east, west = timezone(timedelta(hours=2)), timezone(timedelta(hours=-1))

    answer = await ask(
        shop,
        start=(START + timedelta(hours=20.5)).astimezone(east).isoformat(),
        end=(START + 2 * DAY).astimezone(west).isoformat(),
        granularity="DAY",
    )

    assert [(it["start"], it["counters"]["shown"]) for it in numbers(answer)["points"]] == [
        (START.isoformat(), 2),
        ((START + DAY).isoformat(), 1),
    ]


async def test_rolled_hours_read_as_before_and_late_events_are_in() -> None:
    shop = await new_shop()
    await count(shop.site_id, "shown", 1, 2, 2.5)
    raw = numbers(await ask(shop))
    await rollups.roll([START + timedelta(hours=hour) for hour in (1, 2)])
    rolled = numbers(await ask(shop))

    await count(shop.site_id, "shown", 2.75)

    assert raw == rolled
    assert raw["totals"]["shown"] == 3
    assert numbers(await ask(shop))["totals"]["shown"] == 4


async def test_fifty_sites_cost_one_statement_in_each_store() -> None:
    shop = await new_shop()
    others = await more_sites(shop, 49)
    for number, site_id in enumerate(others):
        await count(site_id, "shown", *range(number % 5))

    with counted_statements() as few:
        await ask(shop, *others[:2])
    with counted_statements() as many:
        answer = await ask(shop, shop.site_id, *others)

    assert len(few) == len(many) == 2  # who is asking, and which sites they may see
    shown = [site["analytics"]["totals"]["shown"] for site in answer.data["_entities"]]
    assert shown == [0, *(number % 5 for number in range(49))]


async def test_nothing_is_told_of_a_site_of_others_or_of_none() -> None:
    shop, other = await new_shop(), await new_shop()
    await count(other.site_id, "shown", 1)

    for site_id in other.site_id, uuid4():
        answer = await ask(shop, shop.site_id, site_id)
        assert answer.codes == ["NOT_FOUND"]
    assert (await ask(shop._replace(owner=NOBODY))).codes == ["UNAUTHENTICATED"]
    assert (await ask(shop._replace(owner=shop.storefront))).codes == ["FORBIDDEN"]
    assert (await ask(shop._replace(owner=user(uuid4(), uuid4())))).codes == ["NOT_FOUND"]
    assert (await ask(shop._replace(owner=shop.looker))).codes == []


@pytest.mark.parametrize(
    ("start", "end", "granularity"),
    [
        ("2026-03-01T00:00:00", "2026-03-02T00:00:00Z", "HOUR"),
        ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00", "HOUR"),
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "HOUR"),
        ("2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z", "HOUR"),
        ("2026-03-01T00:00:00Z", "2026-06-01T00:00:01Z", "HOUR"),
        ("2023-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "DAY"),
        ("0001-01-01T00:00:00+14:00", "2026-03-01T00:00:00Z", "DAY"),
        ("2106-01-01T00:00:00Z", "2106-02-01T00:00:00Z", "DAY"),
        ("2026-03-01T00:00:00Z", "9999-12-31T24:00:00Z", "DAY"),
        ("2026-03-01T00:00:00Z", "9999-W53-7T00:00:00Z", "DAY"),
    ],
)
async def test_a_range_that_makes_no_sense_is_the_callers_error(
    start: str, end: str, granularity: str
) -> None:
    answer = await ask(await new_shop(), start=start, end=end, granularity=granularity)

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_the_longest_ranges_are_answered() -> None:
    shop = await new_shop()

    hours = await ask(shop, end=QUARTER_END)
    days = await ask(shop, end=(START + 800 * DAY).isoformat(), granularity="DAY")

    assert len(numbers(hours)["points"]) == QUARTER_HOURS
    assert len(numbers(days)["points"]) == 800


async def test_the_points_of_a_request_are_limited_over_all_its_sites() -> None:
    shop = await new_shop()
    others = await more_sites(shop, 11)

    answer = await ask(shop, shop.site_id, *others, end=QUARTER_END)

    assert 12 * QUARTER_HOURS + 10 * QUARTER_HOURS < MAX_QUERY_COST < 23 * QUARTER_HOURS
    lists = [site and site["analytics"]["points"] for site in answer.data["_entities"]]
    assert [points and len(points) for points in lists] == [QUARTER_HOURS] * 10 + [None] * 2
    assert answer.codes == ["BAD_USER_INPUT"] * 2


async def test_what_is_past_the_points_of_a_request_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = await new_shop()
    site_ids = [shop.site_id, *await more_sites(shop, 22)]
    asked, counts = list[UUID](), store.counts

    async def noted(ids: Collection[UUID], *args: Any, **options: Any) -> list[store.Counts]:
        asked.extend(ids)
        return await counts(ids, *args, **options)

    monkeypatch.setattr(store, "counts", noted)
    result = await schema.execute(
        TOTALS,
        variable_values={
            "sites": [{"__typename": "Site", "id": str(id_)} for id_ in site_ids],
            "start": START.isoformat(),
            "end": QUARTER_END,
        },
        context_value=Context(shop.owner),
    )

    assert [(error.message, (error.extensions or {})["code"]) for error in result.errors or []] == [
        (
            "A request may return at most 50000 points in all: request fewer series, lists or "
            "groups, a shorter range, or days instead of hours.",
            "BAD_USER_INPUT",
        )
    ]
    assert result.data == {
        "_entities": [*[{"analytics": {"totals": {"shown": 0}}}] * 22, None],
    }
    assert asked == site_ids[:22]
