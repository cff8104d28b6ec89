"""Metrics, groups and charts through the schema, on the real stores."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from subgraphs.analytics import queries
from subgraphs.analytics.clickhouse.metrics import Metric
from tests.fixtures.shop import new_shop
from tests.subgraphs.analytics.site_counts import (
    END,
    EUR,
    GROUPS,
    RANGE,
    START,
    VND,
    first,
    insert_events,
    money,
    send,
    site,
)

pytestmark = pytest.mark.usefixtures("stores")


async def test_groups_and_other_add_up_to_the_totals() -> None:
    shop = await new_shop()
    await insert_events(shop, "orders", 9)
    await insert_events(shop, "shown", 5, page="/blue", at=END - timedelta(hours=1))
    await insert_events(shop, "clicked", 2, page="/blue")
    await insert_events(shop, "shown", 3, page="/red")
    await insert_events(shop, "converted", page="/red", amount_minor=3_000_000_000, **VND)
    await insert_events(shop, "converted", page="/red", amount_minor=250, **EUR)
    await insert_events(shop, "shown", 2, page="/green")
    await insert_events(shop, "converted", page="/green", amount_minor=100, **EUR)
    await insert_events(shop, "shown", 1)
    await insert_events(shop, "shown", 7, page="/blue", at=END)

    analytics = first(
        await send(GROUPS, shop.owner, site(shop.site_id), by="PAGE", top=2, **RANGE),
        "analytics",
    )

    assert analytics["totals"] == {"shown": 11, "clicked": 2, "orders": 9}
    assert analytics["revenue"] == [money(350), money(3_000_000_000, "VND")]
    blue, red = analytics["groups"]
    assert (blue["key"], blue["totals"], blue["revenue"]) == (
        "/blue",
        {"shown": 5, "clicked": 2},
        [],
    )
    assert (red["key"], red["totals"]) == ("/red", {"shown": 3, "clicked": 0})
    assert red["revenue"] == [money(250), money(3_000_000_000, "VND")]
    assert blue["points"] == [{"start": START.isoformat(), "counters": {"shown": 5}, "revenue": []}]
    assert (blue["notification"], blue["variant"]) == (None, None)
    assert analytics["other"] == {
        "totals": {"shown": 3, "clicked": 0, "orders": 9},
        "revenue": [money(100), money(0, "VND")],
    }


@pytest.mark.parametrize(
    ("by", "field", "key"),
    [
        ("DEVICE", "device", "mobile"),
        ("COUNTRY", "country", "NO"),
        ("NOTIFICATION", "notification_id", uuid4()),
        ("VARIANT", "variant_id", uuid4()),
    ],
)
async def test_group_names_its_notification_or_variant(by: str, field: str, key: Any) -> None:
    shop = await new_shop()
    await insert_events(shop, "shown", 2, **{field: key})
    await insert_events(shop, "shown", 1)

    analytics = first(
        await send(GROUPS, shop.owner, site(shop.site_id), by=by, **RANGE), "analytics"
    )

    (group,) = analytics["groups"]
    reference = {"id": str(key)}
    assert (group["key"], group["totals"]["shown"]) == (str(key), 2)
    assert group["notification"] == (reference if by == "NOTIFICATION" else None)
    assert group["variant"] == (reference if by == "VARIANT" else None)
    assert analytics["other"]["totals"]["shown"] == 1


async def test_only_requested_metrics_are_returned() -> None:
    shop = await new_shop()
    await insert_events(shop, "shown", 2, page="/a")
    await insert_events(shop, "clicked", 3, page="/b")
    await insert_events(shop, "converted", page="/b", amount_minor=100, **EUR)

    variables = {"by": "PAGE", "metrics": ["CLICKED"], **RANGE}
    analytics = first(await send(GROUPS, shop.owner, site(shop.site_id), **variables), "analytics")
    revenue_only = {"metrics": ["REVENUE"], **RANGE}
    revenue_answer = first(
        await send(GROUPS, shop.owner, site(shop.site_id), **revenue_only), "analytics"
    )

    assert analytics["totals"] == {"shown": None, "clicked": 3, "orders": None}
    assert analytics["revenue"] is None
    assert [(it["key"], it["totals"]) for it in analytics["groups"]] == [
        ("/b", {"shown": None, "clicked": 3})
    ]
    assert revenue_answer["totals"] == {"shown": None, "clicked": None, "orders": None}
    assert revenue_answer["revenue"] == [money(100)]
    assert (revenue_answer["groups"], revenue_answer["other"]) == (None, None)


async def test_values_are_in_the_order_of_points() -> None:
    shop = await new_shop()
    await insert_events(shop, "shown", 2, at=START + timedelta(hours=1))
    await insert_events(shop, "shown", 3, at=START + timedelta(hours=23))
    document = """query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!) {
      _entities(representations: $sites) {
        ... on Site {
          analytics(start: $start, end: $end, metrics: [SHOWN, REVENUE]) {
            shown: values(metric: SHOWN) clicked: values(metric: CLICKED)
            revenue: values(metric: REVENUE)
          }
        }
      }
    }"""

    analytics = first(await send(document, shop.owner, site(shop.site_id), **RANGE), "analytics")

    assert analytics["shown"] == [0, 2, *[0] * 21, 3]
    assert (analytics["clicked"], analytics["revenue"]) == (None, None)


@pytest.mark.parametrize(
    "variables",
    [
        {"metrics": []},
        {"by": "PAGE", "top": 0},
        {"by": "PAGE", "top": 51},
        {"by": "SURNAME"},
        {"metrics": ["SURNAME"]},
    ],
)
async def test_invalid_arguments_are_refused(variables: dict[str, Any]) -> None:
    shop = await new_shop()

    answer = await send(GROUPS, shop.owner, site(shop.site_id), **variables, **RANGE)

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_points_of_groups_are_limited() -> None:
    shop = await new_shop()
    for number in range(6):
        await insert_events(shop, "shown", page=f"/{number}")
    quarter = {
        "start": (END - timedelta(days=92)).isoformat(),
        "end": END.isoformat(),
        "granularity": "HOUR",
        "by": "PAGE",
    }

    many = await send(GROUPS, shop.owner, site(shop.site_id), top=6, **quarter)
    few = await send(GROUPS, shop.owner, site(shop.site_id), top=5, **quarter)

    assert set(many.codes) == {"BAD_USER_INPUT"}
    assert [len(it["points"]) for it in first(few, "analytics")["groups"]] == [92 * 24] * 5


async def test_dashboard_of_a_quarter_by_the_hour_is_within_the_maximum_cost() -> None:
    shop = await new_shop()
    for number in range(5):
        await insert_events(shop, "shown", page=f"/{number}")
    counted = [metric.name for metric in Metric if metric is not Metric.REVENUE]
    values = " ".join(f"{name.lower()}: values(metric: {name})" for name in counted)
    document = f"""query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!) {{
      _entities(representations: $sites) {{
        ... on Site {{
          analytics(start: $start, end: $end, groupBy: PAGE) {{
            totals {{ shown }} revenue {{ amountMinor }} points {{ start }} {values}
            groups {{ key points {{ counters {{ shown }} }} }} other {{ totals {{ shown }} }}
          }}
        }}
      }}
    }}"""
    quarter = {"start": (END - timedelta(days=92)).isoformat(), "end": END.isoformat()}

    analytics = first(await send(document, shop.owner, site(shop.site_id), **quarter), "analytics")

    assert analytics["totals"] == {"shown": 5}
    assert len(analytics["points"]) == 92 * 24
    assert [sum(analytics[name.lower()]) for name in counted] == [
        5 * (it == "SHOWN") for it in counted
    ]
    assert [len(it["points"]) for it in analytics["groups"]] == [92 * 24] * 5


async def test_points_of_groups_count_towards_the_maximum_cost() -> None:
    shop = await new_shop()
    for number in range(5):
        await insert_events(shop, "shown", page=f"/{number}")
    many = " ".join(f"p{number}: points {{ start }}" for number in range(5))
    document = f"""query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!) {{
      _entities(representations: $sites) {{
        ... on Site {{
          analytics(start: $start, end: $end, groupBy: PAGE) {{ groups {{ {many} }} }}
        }}
      }}
    }}"""
    quarter = {"start": (END - timedelta(days=92)).isoformat(), "end": END.isoformat()}

    answer = await send(document, shop.owner, site(shop.site_id), **quarter)

    assert set(answer.codes) == {"BAD_USER_INPUT"}
    assert answer.data["_entities"][0]["analytics"] == {"groups": None}


@pytest.mark.parametrize(
    ("names", "by_fragment", "codes"),
    [(21, False, []), (22, False, ["BAD_USER_INPUT"]), (22, True, ["BAD_USER_INPUT"])],
)
async def test_aliases_multiply_the_cost_of_points(
    names: int, by_fragment: bool, codes: list[str]
) -> None:
    shop = await new_shop()
    aliases = " ".join(f"a{number}: counters {{ shown }}" for number in range(names))
    fragment = f"fragment Aliases on AnalyticsPoint {{ {aliases} }}" if by_fragment else ""
    document = f"""query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!) {{
      _entities(representations: $sites) {{
        ... on Site {{
          analytics(start: $start, end: $end) {{
            points {{ start revenue {{ currency }} {"...Aliases" if by_fragment else aliases} }}
          }}
        }}
      }}
    }} {fragment}"""
    quarter = {"start": (END - timedelta(days=92)).isoformat(), "end": END.isoformat()}

    answer = await send(document, shop.owner, site(shop.site_id), **quarter)

    assert answer.codes == codes


def test_groups_are_ranked_by_shown_or_by_the_first_metric() -> None:
    assert queries.ranking_metric(queries.ALL_METRICS) == "shown"
    assert queries.ranking_metric(("clicked", "revenue")) == "clicked"
