"""Pages of a site's events through the schema, on the real stores."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text

from subgraphs.analytics.schema import schema
from subgraphs.analytics.site_events.cursor import Position, from_cursor, to_cursor
from subgraphs.kernel import db
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.kernel.ids import new_id
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.fixtures.graph import Answer, counted_statements, run, user
from tests.fixtures.shop import more_sites
from tests.subgraphs.analytics.sample_events import (
    BASE_TIME,
    SampleEvents,
    minutes,
    page_view,
    process,
)

pytestmark = pytest.mark.usefixtures("stores")

EVENTS = """
query($sites: [_Any!]!, $first: Int!, $after: String, $filter: SiteEventFilter) {
  _entities(representations: $sites) {
    ... on Site {
      events(first: $first, after: $after, filter: $filter) {
        edges { cursor node { id type occurredAt } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
}"""


async def query_events(shop: ActiveShop, *site_ids: UUID, **arguments: Any) -> Answer:
    sites = [{"__typename": "Site", "id": str(id_)} for id_ in site_ids or (shop.site_id,)]
    return await run(schema, shop.owner, EVENTS, sites=sites, **{"first": 100, **arguments})


async def page(shop: ActiveShop, **arguments: Any) -> Any:
    answer = await query_events(shop, **arguments)
    assert answer.codes == []
    return answer.data["_entities"][0]["events"]


async def types(shop: ActiveShop, **filter_: Any) -> list[str]:
    events = await page(shop, filter=filter_)
    return [edge["node"]["type"] for edge in events["edges"]]


@pytest.fixture
async def shop() -> ActiveShop:
    return await open_shop()


@pytest.fixture
async def sample(shop: ActiveShop) -> SampleEvents:
    sample = SampleEvents(shop)
    await process(sample.order)
    await process(sample.shown, sample.clicked, sample.viewed)
    return sample


async def test_source_and_notification_events_are_merged_newest_first(
    shop: ActiveShop, sample: SampleEvents
) -> None:
    events = await page(shop)

    published, *rest = [edge["node"] for edge in events["edges"]]
    assert published["type"] == "claim.published"
    assert rest == [
        {"id": str(event.id), "type": event.type, "occurredAt": event.occurred_at.isoformat()}
        for event in (sample.clicked, sample.viewed, sample.shown, sample.order)
    ]
    assert events["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": events["edges"][0]["cursor"],
        "endCursor": events["edges"][-1]["cursor"],
    }


async def test_pages_of_any_size_have_each_event_once_and_in_order(shop: ActiveShop) -> None:
    orders = [shop.order(number, placed=minutes(number // 3)) for number in range(9)]
    await process(*orders, *(page_view(shop, number // 2) for number in range(8)))
    everything = (await page(shop))["edges"]

    for first in (1, 4, 7):
        seen: list[Any] = []
        after, more = None, True
        while more:
            events = await page(shop, first=first, after=after)
            seen += events["edges"]
            after, more = events["pageInfo"]["endCursor"], events["pageInfo"]["hasNextPage"]
        assert seen == everything

    assert len(everything) == 9 + 9 + 8  # orders, their claims published, views


async def test_events_with_equal_time_and_id_differ_by_type(shop: ActiveShop) -> None:
    (order,) = orders = [shop.order(1, placed=minutes(0))]
    await process(*orders)
    shown = shop.claim_event("shown", shop.claim_id(order), at=minutes(1))
    twin = msgspec.structs.replace(shown, type="page.viewed")
    await process(shown, twin)

    first = await page(
        shop, first=1, filter={"since": BASE_TIME.isoformat(), "until": hour_later()}
    )
    second = await page(
        shop,
        first=1,
        after=first["pageInfo"]["endCursor"],
        filter={"until": hour_later()},
    )

    assert [it["edges"][0]["node"]["type"] for it in (first, second)] == [
        "claim.shown",
        "page.viewed",
    ]


def hour_later() -> str:
    return minutes(60).isoformat()


async def test_filters_can_be_combined(shop: ActiveShop, sample: SampleEvents) -> None:
    claim, notification = str(sample.claim_id), str(shop.notification_id)
    of_claim = ["claim.published", "claim.clicked", "claim.shown"]

    assert await types(shop, types=["order.created", "page.viewed"]) == [
        "page.viewed",
        "order.created",
    ]
    assert await types(shop, types=["claim.shown", "order.created", "no.such"]) == [
        "claim.shown",
        "order.created",
    ]
    assert await types(shop, types=["shown"]) == []
    assert await types(shop, claimId=claim) == of_claim
    assert await types(shop, notificationId=notification) == of_claim
    assert await types(shop, claimId=claim, types=["order.created"]) == []
    assert await types(shop, claimId=str(uuid4())) == []
    assert await types(shop, visitorId="visitor") == ["claim.clicked", "claim.shown"]
    assert await types(shop, visitorId="another") == ["page.viewed"]
    assert await types(shop, visitorId="visitor", types=["claim.shown"]) == ["claim.shown"]
    since, until = minutes(10).isoformat(), minutes(20).isoformat()
    assert await types(shop, since=since, until=until) == ["page.viewed", "claim.shown"]
    assert await types(shop, until=since) == ["order.created"]


async def test_search_without_since_covers_31_days(shop: ActiveShop) -> None:
    now = datetime.now(UTC)
    old, older = now - timedelta(days=32), now - timedelta(days=64)
    sold = [shop.order(number, placed=at) for number, at in enumerate((now, old, older))]
    await process(*sold)
    new_order, old_order, older_order = (str(event.id) for event in sold)

    async def order_ids(**filter_: Any) -> list[str]:
        edges = (await page(shop, filter=filter_))["edges"]
        return [it["node"]["id"] for it in edges if it["node"]["type"] == "order.created"]

    orders = {"types": ["order.created"]}
    far = (now - timedelta(days=100)).isoformat()
    assert await order_ids() == [new_order, old_order, older_order]
    assert await order_ids(**orders) == [new_order]
    assert await order_ids(**orders, until=(now - timedelta(seconds=1)).isoformat()) == []
    assert await order_ids(**orders, until=(now - timedelta(days=2)).isoformat()) == [old_order]
    assert await order_ids(**orders, until="1970-01-02T00:00:00Z") == []
    assert await order_ids(**orders, since=far) == [new_order, old_order, older_order]
    notification = str(shop.notification_id)
    published = await types(shop, types=["claim.published"], notificationId=notification)
    assert published == ["claim.published"] * 3


async def test_fifty_sites_need_as_many_statements_as_one(
    shop: ActiveShop, sample: SampleEvents
) -> None:
    others = await more_sites(shop.shop, 49)

    with counted_statements() as few:
        await query_events(shop)
    with counted_statements() as many:
        answer = await query_events(shop, shop.site_id, *others)

    assert [len(it["events"]["edges"]) for it in answer.data["_entities"]] == [5] + [0] * 49
    assert (
        len(few) == len(many) == 4
    )  # the visible sites and the events, each with the viewer's accounts


async def test_site_of_another_tenant_is_not_found(shop: ActiveShop, sample: SampleEvents) -> None:
    eve = await open_shop()

    for site_id in (shop.site_id, uuid4()):
        assert (await query_events(eve, eve.site_id, site_id)).codes == ["NOT_FOUND"]
    theirs = {"claimId": str(sample.claim_id)}
    assert (await page(eve, filter=theirs))["edges"] == []
    assert (await page(eve, filter={"notificationId": str(shop.notification_id)}))["edges"] == []
    for viewer, codes in (
        (NOBODY, ["UNAUTHENTICATED"]),
        (shop.shop.storefront, ["FORBIDDEN"]),
        (user(uuid4(), uuid4()), ["NOT_FOUND"]),
        (shop.shop.looker, []),
    ):
        as_viewer = shop._replace(shop=shop.shop._replace(owner=viewer))
        assert (await query_events(as_viewer)).codes == codes


async def test_page_reads_few_blocks_of_a_large_table(shop: ActiveShop) -> None:
    many = text("""
        INSERT INTO events
        SELECT now() - number * interval '1 millisecond', gen_random_uuid(), :account, :site,
               'page.viewed', now(), 'snippet', NULL, '{}'
        FROM generate_series(1, 10000) AS number
    """)
    page_of_them = text(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM source_events_before("
        ":site, 20, now(), :id, 'page.viewed', NULL, NULL, NULL, NULL)"
    )
    async with db.service_transaction() as session:
        await session.execute(many, {"account": shop.account_id, "site": shop.site_id})

    async with db.read_session(shop.owner) as session:
        values = {"site": shop.site_id, "id": new_id()}
        await session.execute(page_of_them, values)  # also reads the catalogue
        (plan,) = (await session.execute(page_of_them, values)).scalar_one()

    assert plan["Plan"]["Actual Rows"] == 20
    blocks = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    assert blocks < 100  # the events alone fill 150


async def test_database_function_returns_only_the_tenants_rows(
    shop: ActiveShop, sample: SampleEvents
) -> None:
    eve = await open_shop()
    statement = text(
        "SELECT count(*) FROM source_events_before("
        ":site, 20, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    )

    async def seen_by(viewer: Viewer) -> Any:
        async with db.read_session(viewer) as session:
            return (await session.execute(statement, {"site": shop.site_id})).scalar_one()

    assert [await seen_by(it) for it in (shop.owner, eve.owner, NOBODY)] == [2, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"first": 0}, "BAD_USER_INPUT"),
        ({"first": 101}, "BAD_USER_INPUT"),
        ({"after": "nonsense"}, "BAD_USER_INPUT"),
        ({"after": ""}, "BAD_USER_INPUT"),
        ({"filter": {"types": []}}, "BAD_USER_INPUT"),
        ({"filter": {"types": [str(number) for number in range(21)]}}, "BAD_USER_INPUT"),
        ({"filter": {"types": ["nul\x00"]}}, "BAD_USER_INPUT"),
        ({"filter": {"visitorId": "x" * 101}}, "BAD_USER_INPUT"),
        ({"filter": {"since": "2026-01-01T00:00:00"}}, "BAD_USER_INPUT"),
        (
            {"filter": {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}},
            "BAD_USER_INPUT",
        ),
        ({"filter": {"since": "0001-01-01T00:00:00+01:00"}}, "BAD_USER_INPUT"),
        ({"filter": {"until": "9999-12-31T23:59:59-01:00"}}, "BAD_USER_INPUT"),
        ({"filter": {"until": "9999-12-31T24:00:00Z"}}, "BAD_USER_INPUT"),
        ({"filter": {"claimId": "x"}}, "NOT_FOUND"),
    ],
)
async def test_invalid_arguments_are_refused(
    shop: ActiveShop, arguments: dict[str, Any], code: str
) -> None:
    assert (await query_events(shop, **arguments)).codes == [code]


def test_cursor_round_trips_and_other_texts_are_refused() -> None:
    position = Position(BASE_TIME + timedelta(microseconds=1), new_id(), "order.created")
    cursor = to_cursor(position)

    assert from_cursor(cursor) == position
    for broken in (cursor[:-20], cursor[:10], cursor + "ß", "-" * 60, "A" * 40):
        with pytest.raises(BadUserInput):
            from_cursor(broken)
