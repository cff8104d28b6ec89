"""What happened at a site, page by page through the schema, on the real stores."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text

from subgraphs.analytics import site_events
from subgraphs.analytics.schema import schema
from subgraphs.kernel import db
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.kernel.ids import new_id
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.fixtures.graph import Answer, counted_statements, run, user
from tests.fixtures.shop import more_sites
from tests.subgraphs.analytics.demo_days import NOON, Morning, happen, minutes, viewed

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


async def ask(shop: ActiveShop, *site_ids: UUID, **arguments: Any) -> Answer:
    sites = [{"__typename": "Site", "id": str(id_)} for id_ in site_ids or (shop.site_id,)]
    return await run(schema, shop.owner, EVENTS, sites=sites, **{"first": 100, **arguments})


async def page(shop: ActiveShop, **arguments: Any) -> Any:
    answer = await ask(shop, **arguments)
    assert answer.codes == []
    return answer.data["_entities"][0]["events"]


async def types(shop: ActiveShop, **filter_: Any) -> list[str]:
    found = await page(shop, filter=filter_)
    return [edge["node"]["type"] for edge in found["edges"]]


@pytest.fixture
async def shop() -> ActiveShop:
    return await open_shop()


@pytest.fixture
async def morning(shop: ActiveShop) -> Morning:
    morning = Morning(shop)
    await happen(morning.order)
    await happen(morning.shown, morning.clicked, morning.viewed)
    return morning


async def test_facts_and_claims_come_merged_newest_first(
    shop: ActiveShop, morning: Morning
) -> None:
    found = await page(shop)

    published, *rest = [edge["node"] for edge in found["edges"]]
    assert published["type"] == "claim.published"
    assert rest == [
        {"id": str(event.id), "type": event.type, "occurredAt": event.occurred_at.isoformat()}
        for event in (morning.clicked, morning.viewed, morning.shown, morning.order)
    ]
    assert found["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": found["edges"][0]["cursor"],
        "endCursor": found["edges"][-1]["cursor"],
    }


async def test_pages_of_any_size_tell_everything_once_and_in_order(shop: ActiveShop) -> None:
    orders = [shop.order(number, placed=minutes(number // 3)) for number in range(9)]
    await happen(*orders, *(viewed(shop, number // 2) for number in range(8)))
    everything = (await page(shop))["edges"]

    for first in (1, 4, 7):
        seen: list[Any] = []
        after, more = None, True
        while more:
            found = await page(shop, first=first, after=after)
            seen += found["edges"]
            after, more = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
        assert seen == everything

    assert len(everything) == 9 + 9 + 8  # orders, their claims published, views


async def test_one_id_with_two_types_at_one_moment_is_two_events(shop: ActiveShop) -> None:
    (order,) = orders = [shop.order(1, placed=minutes(0))]
    await happen(*orders)
    shown = shop.claim_event("shown", shop.claim_id(order), at=minutes(1))
    twin = msgspec.structs.replace(shown, type="page.viewed")
    await happen(shown, twin)

    first = await page(shop, first=1, filter={"since": NOON.isoformat(), "until": hour_later()})
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


async def test_filters_narrow_and_can_be_joined(shop: ActiveShop, morning: Morning) -> None:
    claim, notification = str(morning.claim_id), str(shop.notification_id)
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


async def test_a_search_without_a_beginning_looks_back_a_month(shop: ActiveShop) -> None:
    now = datetime.now(UTC)
    old, older = now - timedelta(days=32), now - timedelta(days=64)
    sold = [shop.order(number, placed=at) for number, at in enumerate((now, old, older))]
    await happen(*sold)
    new_order, old_order, older_order = (str(event.id) for event in sold)

    async def found(**filter_: Any) -> list[str]:
        edges = (await page(shop, filter=filter_))["edges"]
        return [it["node"]["id"] for it in edges if it["node"]["type"] == "order.created"]

    orders = {"types": ["order.created"]}
    far = (now - timedelta(days=100)).isoformat()
    assert await found() == [new_order, old_order, older_order]
    assert await found(**orders) == [new_order]
    assert await found(**orders, until=(now - timedelta(seconds=1)).isoformat()) == []
    assert await found(**orders, until=(now - timedelta(days=2)).isoformat()) == [old_order]
    assert await found(**orders, until="1970-01-02T00:00:00Z") == []
    assert await found(**orders, since=far) == [new_order, old_order, older_order]
    notification = str(shop.notification_id)
    told = await types(shop, types=["claim.published"], notificationId=notification)
    assert told == ["claim.published"] * 3


async def test_fifty_sites_cost_as_many_statements_as_one(
    shop: ActiveShop, morning: Morning
) -> None:
    others = await more_sites(shop.shop, 49)

    with counted_statements() as few:
        await ask(shop)
    with counted_statements() as many:
        answer = await ask(shop, shop.site_id, *others)

    assert [len(it["events"]["edges"]) for it in answer.data["_entities"]] == [5] + [0] * 49
    assert len(few) == len(many) == 4  # whose rows and the rows: sites, then what happened


async def test_nothing_is_told_of_a_site_of_others_or_of_none(
    shop: ActiveShop, morning: Morning
) -> None:
    eve = await open_shop()

    for site_id in (shop.site_id, uuid4()):
        assert (await ask(eve, eve.site_id, site_id)).codes == ["NOT_FOUND"]
    theirs = {"claimId": str(morning.claim_id)}
    assert (await page(eve, filter=theirs))["edges"] == []
    assert (await page(eve, filter={"notificationId": str(shop.notification_id)}))["edges"] == []
    for viewer, codes in (
        (NOBODY, ["UNAUTHENTICATED"]),
        (shop.shop.storefront, ["FORBIDDEN"]),
        (user(uuid4(), uuid4()), ["NOT_FOUND"]),
        (shop.shop.looker, []),
    ):
        asked = shop._replace(shop=shop.shop._replace(owner=viewer))
        assert (await ask(asked)).codes == codes


async def test_a_page_costs_what_is_on_it_however_much_there_is(shop: ActiveShop) -> None:
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
        await session.execute(page_of_them, values)  # reads the catalogue, too
        (told,) = (await session.execute(page_of_them, values)).scalar_one()

    assert told["Plan"]["Actual Rows"] == 20
    blocks = told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"]
    assert blocks < 100  # of the 150 that the events alone fill


async def test_the_function_behind_it_knows_whose_rows_they_are(
    shop: ActiveShop, morning: Morning
) -> None:
    eve = await open_shop()
    asked = text(
        "SELECT count(*) FROM source_events_before("
        ":site, 20, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    )

    async def seen_by(viewer: Viewer) -> Any:
        async with db.read_session(viewer) as session:
            return (await session.execute(asked, {"site": shop.site_id})).scalar_one()

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
async def test_what_cannot_be_asked_is_the_callers_error(
    shop: ActiveShop, arguments: dict[str, Any], code: str
) -> None:
    assert (await ask(shop, **arguments)).codes == [code]


def test_a_cursor_is_read_as_it_was_written_and_nothing_else_is() -> None:
    place = site_events.Place(NOON + timedelta(microseconds=1), new_id(), "order.created")
    cursor = site_events.to_cursor(place)

    assert site_events.from_cursor(cursor) == place
    for broken in (cursor[:-20], cursor[:10], cursor + "ß", "-" * 60, "A" * 40):
        with pytest.raises(BadUserInput):
            site_events.from_cursor(broken)
