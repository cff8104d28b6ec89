"""Funnels, stats, top pages and A/B results through the schema, on the real stores."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from subgraphs.analytics.clickhouse.counts import get_totals
from subgraphs.analytics.rates import rate
from subgraphs.analytics.realtime import live_visitors
from subgraphs.analytics.realtime.live_visitors import Sighting
from subgraphs.kernel import redis
from subgraphs.kernel.identity.viewer import NOBODY
from subgraphs.kernel.ids import new_id
from tests.fixtures.graph import Answer, counted_statements
from tests.fixtures.shop import more_sites, new_shop
from tests.subgraphs.analytics.site_counts import (
    END,
    EUR,
    GROUPS,
    RANGE,
    START,
    first,
    insert_events,
    money,
    notification,
    recorded_queries,
    send,
    site,
)

pytestmark = pytest.mark.usefixtures("stores")

FUNNEL = """
query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!) {
  _entities(representations: $sites) {
    ... on Site {
      funnel(start: $start, end: $end) {
        shown clicked converted
        clickRate { value low high } conversionRate { value low high }
        revenue { amountMinor currency }
        seenOnly { exposed converted conversionRate { value } revenue { amountMinor currency } }
        heldOut { exposed converted conversionRate { value } revenue { amountMinor currency } }
      }
    }
  }
}"""
TOP_PAGES = """
query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!, $first: Int = 10,
      $by: Metric! = SHOWN) {
  _entities(representations: $sites) {
    ... on Site {
      topPages(start: $start, end: $end, first: $first, by: $by) {
        page performance { counters { pageViews shown clicked } revenue { amountMinor } }
      }
    }
  }
}"""
STATS = """
query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!) {
  _entities(representations: $sites) {
    ... on Notification {
      stats(start: $start, end: $end) {
        counters { published shown clicked converted }
        clickRate { value } conversionRate { value low high }
        revenue { amountMinor currency }
      }
    }
  }
}"""
RESULTS = """
query($sites: [_Any!]!) {
  _entities(representations: $sites) {
    ... on ABTest {
      results {
        variants {
          variant { id }
          performance {
            counters { shown clicked converted } clickRate { value low high }
            revenue { amountMinor currency }
          }
        }
      }
    }
  }
}"""


async def test_funnel_compares_with_visitors_who_did_not_click() -> None:
    shop = await new_shop()
    await insert_events(shop, "shown", 100)
    await insert_events(shop, "clicked", 10)
    await insert_events(shop, "converted", 1, amount_minor=500, **EUR)
    await insert_events(shop, "converted_shown", 3, amount_minor=200, **EUR)
    await insert_events(shop, "withheld", 40)
    await insert_events(shop, "converted_held_out", 2, amount_minor=300, **EUR)

    funnel = first(await send(FUNNEL, shop.owner, site(shop.site_id), **RANGE), "funnel")

    assert (funnel["shown"], funnel["clicked"], funnel["converted"]) == (100, 10, 1)
    assert funnel["clickRate"] == pytest.approx(
        {"value": 0.1, "low": 0.0552, "high": 0.1744}, abs=1e-4
    )
    assert funnel["conversionRate"] == pytest.approx(
        {"value": 0.1, "low": 0.0179, "high": 0.4042}, abs=1e-4
    )
    assert funnel["revenue"] == [money(500)]
    assert funnel["seenOnly"] == {
        "exposed": 90,
        "converted": 3,
        "conversionRate": {"value": pytest.approx(3 / 90)},
        "revenue": [money(600)],
    }
    assert funnel["heldOut"] == {
        "exposed": 40,
        "converted": 2,
        "conversionRate": {"value": 0.05},
        "revenue": [money(600)],
    }


async def test_funnel_without_events_has_no_rates() -> None:
    shop = await new_shop()

    funnel = first(await send(FUNNEL, shop.owner, site(shop.site_id), **RANGE), "funnel")

    nothing: dict[str, Any] = {"exposed": 0, "converted": 0, "conversionRate": None, "revenue": []}
    assert funnel == {
        "shown": 0,
        "clicked": 0,
        "converted": 0,
        "clickRate": None,
        "conversionRate": None,
        "revenue": [],
        "seenOnly": nothing,
        "heldOut": nothing,
    }


async def test_top_pages_are_ranked_by_the_requested_metric() -> None:
    shop = await new_shop()
    await insert_events(shop, "page_views", 9, page="/much-read")
    await insert_events(shop, "shown", 2, page="/much-read")
    await insert_events(shop, "shown", 3, page="/shown")
    await insert_events(shop, "clicked", 1, page="/shown")
    await insert_events(shop, "converted", 1, page="/shown", amount_minor=10_000, **EUR)

    by_shown = first(await send(TOP_PAGES, shop.owner, site(shop.site_id), **RANGE), "topPages")
    variables = {"by": "PAGE_VIEWS", "first": 1, **RANGE}
    by_views = first(await send(TOP_PAGES, shop.owner, site(shop.site_id), **variables), "topPages")

    assert [it["page"] for it in by_shown] == ["/shown", "/much-read"]
    assert by_shown[0]["performance"] == {
        "counters": {"pageViews": 0, "shown": 3, "clicked": 1},
        "revenue": [{"amountMinor": 10_000}],
    }
    assert [it["page"] for it in by_views] == ["/much-read"]
    for wrong in (0, 101):
        refused = await send(TOP_PAGES, shop.owner, site(shop.site_id), first=wrong, **RANGE)
        assert refused.codes == ["BAD_USER_INPUT"]


async def test_stats_count_one_notification_within_the_range() -> None:
    shop, mine, other = await new_shop(), uuid4(), uuid4()
    await insert_events(shop, "published", 4, notification_id=mine)
    await insert_events(shop, "shown", 8, notification_id=mine)
    await insert_events(shop, "clicked", 4, notification_id=mine)
    await insert_events(shop, "converted", 1, notification_id=mine, amount_minor=700, **EUR)
    await insert_events(shop, "shown", 5, notification_id=other)
    await insert_events(shop, "shown", 5, notification_id=mine, at=END)

    answer = await send(
        STATS,
        shop.owner,
        notification(mine, shop.site_id),
        notification(other, shop.site_id),
        notification(uuid4(), shop.site_id),
        **RANGE,
    )

    assert answer.codes == []
    stats = [it["stats"] for it in answer.data["_entities"]]
    assert stats[0] == {
        "counters": {"published": 4, "shown": 8, "clicked": 4, "converted": 1},
        "clickRate": {"value": 0.5},
        "conversionRate": {
            "value": 0.25,
            "low": pytest.approx(0.0456, abs=1e-4),
            "high": pytest.approx(0.6994, abs=1e-4),
        },
        "revenue": [money(700)],
    }
    assert [it["counters"]["shown"] for it in stats] == [8, 5, 0]
    assert [it["clickRate"] for it in stats[1:]] == [{"value": 0.0}, None]


async def test_results_count_each_variant_since_the_start_of_the_test() -> None:
    shop, own, short = await new_shop(), uuid4(), uuid4()
    started = START + timedelta(hours=1, minutes=30)
    await insert_events(shop, "shown", 20, variant_id=own)
    await insert_events(shop, "clicked", 2, variant_id=own)
    await insert_events(shop, "shown", 10, variant_id=short, at=datetime.now(UTC))
    await insert_events(shop, "clicked", 4, variant_id=short, at=datetime.now(UTC))
    await insert_events(shop, "converted", 1, variant_id=short, amount_minor=99, **EUR)
    await insert_events(shop, "shown", 3, variant_id=own, at=START)
    test = {
        "__typename": "ABTest",
        "id": str(uuid4()),
        "site": site(shop.site_id),
        "variants": [{"id": str(own)}, {"id": str(short)}],
    }

    running = await send(RESULTS, shop.owner, {**test, "startedAt": started.isoformat()})
    draft = await send(RESULTS, shop.owner, {**test, "startedAt": None})

    results = first(running, "results")["variants"]
    assert [it["variant"]["id"] for it in results] == [str(own), str(short)]
    own_results, short_results = (it["performance"] for it in results)
    assert own_results["counters"] == {"shown": 20, "clicked": 2, "converted": 0}
    assert own_results["clickRate"] == pytest.approx(
        {"value": 0.1, "low": 0.0279, "high": 0.3010}, abs=1e-4
    )
    assert short_results["counters"] == {"shown": 10, "clicked": 4, "converted": 1}
    assert short_results["clickRate"] == pytest.approx(
        {"value": 0.4, "low": 0.1682, "high": 0.6873}, abs=1e-4
    )
    assert (own_results["revenue"], short_results["revenue"]) == ([], [money(99)])
    assert [it["performance"]["clickRate"] for it in first(draft, "results")["variants"]] == [
        None,
        None,
    ]


async def test_fifty_sites_need_as_many_statements_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = await new_shop()
    others = await more_sites(shop, 49)
    for site_id in others[:3]:
        await insert_events(site_id, "shown", page="/a")
    await get_totals([shop.site_id], START, END)  # reads the states of hours and days

    async def cost(document: str, *site_ids: UUID, **variables: Any) -> tuple[int, int]:
        with counted_statements() as statements, recorded_queries(monkeypatch) as queries:
            answer = await send(document, shop.owner, *map(site, site_ids), **variables, **RANGE)
        assert answer.codes == []
        return len(statements), len(queries)

    for document, variables, expected in (
        # The series, the groups and the groups' series, and after each the states of hours.
        (GROUPS, {"by": "PAGE"}, (2, 6)),
        (FUNNEL, {}, (2, 2)),
        (TOP_PAGES, {}, (2, 2)),
    ):
        assert await cost(document, others[0], **variables) == expected
        assert await cost(document, shop.site_id, *others, **variables) == expected


async def test_stats_of_fifty_notifications_need_as_many_statements_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = await new_shop()
    entities = [notification(uuid4(), shop.site_id) for _ in range(50)]
    await get_totals([shop.site_id], START, END)  # reads the states of hours and days

    with counted_statements() as statements, recorded_queries(monkeypatch) as queries:
        answer = await send(STATS, shop.owner, *entities, **RANGE)

    assert answer.codes == []
    assert (len(statements), len(queries)) == (2, 2)


async def test_live_visitors_are_null_below_five_and_for_other_tenants() -> None:
    shop, eve, quiet = await new_shop(), await new_shop(), await new_shop()
    now = datetime.now(UTC)
    await live_visitors.record(
        redis.client(),
        [
            *(Sighting(shop.site_id, f"visitor-{number}", now) for number in range(5)),
            *(Sighting(quiet.site_id, f"visitor-{number}", now) for number in range(4)),
        ],
    )
    document = """query($sites: [_Any!]!) {
      _entities(representations: $sites) { ... on Site { liveVisitors } }
    }"""

    with counted_statements() as statements:
        seen = await send(document, shop.owner, site(shop.site_id))

    assert first(seen, "liveVisitors") == 5
    assert len(statements) == 2
    assert first(await send(document, quiet.owner, site(quiet.site_id)), "liveVisitors") is None
    hidden = await send(document, eve.owner, site(shop.site_id))
    assert (hidden.data["_entities"][0], hidden.codes) == ({"liveVisitors": None}, ["NOT_FOUND"])


@pytest.mark.parametrize("document", [GROUPS, FUNNEL, TOP_PAGES, STATS, RESULTS])
async def test_counts_of_another_tenant_are_not_found(document: str) -> None:
    shop, eve = await new_shop(), await new_shop()
    mine = new_id()
    await insert_events(shop, "shown", 5, notification_id=mine, variant_id=mine, page="/a")
    kind = {STATS: "Notification", RESULTS: "ABTest"}.get(document)
    more = {} if document is RESULTS else RANGE

    def entity(site_id: UUID | None) -> dict[str, Any]:
        if kind is None:
            return site(site_id or uuid4())
        required: dict[str, Any] = {"site": site(site_id)} if site_id else {}
        if document is RESULTS:
            required |= {"variants": [{"id": str(mine)}], "startedAt": START.isoformat()}
        return {"__typename": kind, "id": str(mine), **required}

    def data_of(answer: Answer) -> str:
        assert answer.codes == []
        return str(answer.data)

    assert (await send(document, eve.owner, entity(shop.site_id), **more)).codes == ["NOT_FOUND"]
    assert (await send(document, eve.owner, entity(uuid4()), **more)).codes == ["NOT_FOUND"]
    if kind:
        assert (await send(document, shop.owner, entity(None), **more)).codes == ["NOT_FOUND"]
    for viewer, code in (NOBODY, "UNAUTHENTICATED"), (shop.storefront, "FORBIDDEN"):
        assert (await send(document, viewer, entity(shop.site_id), **more)).codes == [code]
    assert "'shown': 5" in data_of(await send(document, shop.looker, entity(shop.site_id), **more))
    # Eve's own site with another tenant's notification or variant: only the site's events count.
    assert "'shown': 5" not in data_of(await send(document, eve.owner, entity(eve.site_id), **more))


def test_rate_has_the_wilson_score_interval() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3.
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        interval = rate(successes, trials)
        assert interval is not None
        assert interval.value == successes / trials
        assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    assert rate(0, 0) is None
    assert rate(7, 5) == rate(5, 5)
