"""A/B tests through their schema, and the claims made while one runs, on the real PostgreSQL."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from subgraphs.kernel import db
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.kernel.ids import derived_id, new_id
from subgraphs.kernel.streams.envelope import Event
from subgraphs.notifications import ab_tests, claim_rendering, claims, service
from subgraphs.notifications.ab_tests import NewVariant
from subgraphs.notifications.models import ABTest, ABTestVariant, Claim, Notification
from subgraphs.notifications.schema import schema
from subgraphs.notifications.template_cache import CachedVariant
from subgraphs.notifications.template_rendering import DEFAULT_BODY
from tests.fixtures.active_shop import ActiveShop, open_shop, pause
from tests.fixtures.graph import Answer, counted_statements, run

pytestmark = pytest.mark.usefixtures("stores")

CREATE = """
mutation($input: CreateABTestInput!) {
  createABTest(input: $input) {
    id name status startedAt stoppedAt
    site { id } notification { id } variants { name body weight }
  }
}"""
START = "mutation($id: ID!) { startABTest(id: $id) { status startedAt stoppedAt } }"
STOP = "mutation($id: ID!) { stopABTest(id: $id) { status startedAt stoppedAt } }"
READ = "query($id: ID!) { abTest(id: $id) { status variants { id name } } }"
OF_NOTIFICATIONS = """
query($r: [_Any!]!) {
  _entities(representations: $r) {
    ... on Notification {
      abTests(first: 5) { edges { node { name variants { name } } } pageInfo { hasNextPage } }
    }
  }
}"""
CLAIMS = """
query($id: ID!) {
  notification(id: $id) { claims { edges { node { text variant { name weight } } } } }
}"""
TWO = [
    {"name": "short", "body": "{{ product }} sold", "weight": 1},
    {"name": "own", "weight": 3},
]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
async def shop() -> ActiveShop:
    return await open_shop()


async def create(shop: ActiveShop, **fields: object) -> Answer:
    return await create_as(shop.owner, shop, **fields)


async def create_as(viewer: Viewer, shop: ActiveShop, **fields: object) -> Answer:
    requested = {
        "notificationId": str(shop.notification_id),
        "name": "Wording",
        "variants": TWO,
        **fields,
    }
    return await run(schema, viewer, CREATE, input=requested)


async def created(shop: ActiveShop, **fields: object) -> str:
    return str((await create(shop, **fields)).data["createABTest"]["id"])


async def change(shop: ActiveShop, document: str, test_id: str) -> str:
    answer = await run(schema, shop.owner, document, id=test_id)
    return str(answer.codes[0] if answer.codes else next(iter(answer.data.values()))["status"])


async def started(shop: ActiveShop, **fields: object) -> str:
    test_id = await created(shop, **fields)
    assert await change(shop, START, test_id) == "RUNNING"
    return test_id


async def count_of(shop: ActiveShop, model: type[ABTest] | type[ABTestVariant]) -> int:
    async with db.read_session(shop.owner) as session:
        return await session.scalar(select(func.count()).select_from(model)) or 0


def orders_of(shop: ActiveShop, count: int, first: int = 0) -> list[Event]:
    return [
        shop.order(number, placed=NOON - timedelta(seconds=number))
        for number in range(first, first + count)
    ]


async def stored(*events: Event) -> list[Claim]:
    async with db.service_transaction() as session:
        rows = await claims.save_claims(
            session, await claim_rendering.render_claims(session, events)
        )
        cursors = {row.id: f"{number}-0" for number, row in enumerate(rows, 1)}
        await claims.set_cursors(session, cursors)
    return rows


async def variant_names(shop: ActiveShop, test_id: str) -> dict[UUID | None, str]:
    found = (await run(schema, shop.owner, READ, id=test_id)).data["abTest"]["variants"]
    return {UUID(it["id"]): it["name"] for it in found}


async def test_a_new_test_is_a_draft_with_its_variants_in_order(shop: ActiveShop) -> None:
    answer = await create(shop, name=" Wording ")

    made = answer.data["createABTest"]
    assert UUID(made.pop("id")).version == 7
    assert made == {
        "name": "Wording",
        "status": "DRAFT",
        "startedAt": None,
        "stoppedAt": None,
        "site": {"id": str(shop.site_id)},
        "notification": {"id": str(shop.notification_id)},
        "variants": [
            {"name": "short", "body": "{{ product }} sold", "weight": 1},
            {"name": "own", "body": DEFAULT_BODY, "weight": 3},
        ],
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"name": " "},
        {"name": "nul \x00"},
        {"variants": []},
        {"variants": TWO[:1]},
        {"variants": [{"name": str(number)} for number in range(11)]},
        {"variants": [{"name": "same"}, {"name": " same"}]},
        {"variants": [TWO[0], {"name": ""}]},
        {"variants": [TWO[0], {"name": "b", "weight": 0}]},
        {"variants": [TWO[0], {"name": "b", "weight": 101}]},
        {"variants": [TWO[0], {"name": "b", "body": "{{ email }}"}]},
        {"variants": [TWO[0], {"name": "b", "body": "{{ product"}]},
    ],
)
async def test_invalid_tests_are_rejected_and_not_stored(
    shop: ActiveShop, fields: dict[str, object]
) -> None:
    assert await create(shop, **fields) == (None, ["BAD_USER_INPUT"])
    assert await count_of(shop, ABTest) == await count_of(shop, ABTestVariant) == 0


async def test_a_test_goes_from_draft_to_running_to_stopped_only(shop: ActiveShop) -> None:
    test_id = await created(shop)

    seen = [await change(shop, it, test_id) for it in (STOP, START, START, STOP, STOP, START)]

    assert seen == ["CONFLICT", "RUNNING", "RUNNING", "STOPPED", "STOPPED", "CONFLICT"]


async def test_only_one_test_of_a_notification_runs_at_a_time(shop: ActiveShop) -> None:
    first, second = await started(shop), await created(shop)

    assert await change(shop, START, second) == "CONFLICT"
    assert (await run(schema, shop.owner, READ, id=second)).data["abTest"]["status"] == "DRAFT"
    await change(shop, STOP, first)
    assert await change(shop, START, second) == "RUNNING"


async def test_an_archived_notification_cannot_be_tested(shop: ActiveShop) -> None:
    async with db.transaction(shop.owner) as session:
        found = await session.get_one(Notification, shop.notification_id)
        found.status = "ARCHIVED"

    assert await create(shop) == (None, ["CONFLICT"])


async def test_other_viewers_can_neither_read_nor_change_a_test(shop: ActiveShop) -> None:
    eve = await open_shop()
    test_id = await created(shop)

    assert await create_as(eve.owner, shop) == (None, ["NOT_FOUND"])
    for document in (READ, START, STOP):
        for viewer, code in (
            (eve.owner, "NOT_FOUND"),
            (NOBODY, "UNAUTHENTICATED"),
            (shop.shop.storefront, "FORBIDDEN"),
        ):
            assert (await run(schema, viewer, document, id=test_id)).codes == [code]
        assert (await run(schema, shop.owner, document, id="x")).codes == ["NOT_FOUND"]
        assert (await run(schema, shop.owner, document, id=str(uuid4()))).codes == ["NOT_FOUND"]
    looking = await run(schema, shop.shop.looker, READ, id=test_id)
    assert looking.data["abTest"]["status"] == "DRAFT"
    assert await create_as(shop.shop.looker, shop) == (None, ["FORBIDDEN"])
    for document in (START, STOP):
        assert (await run(schema, shop.shop.looker, document, id=test_id)).codes == ["FORBIDDEN"]
    assert await count_of(shop, ABTest) == 1
    assert await count_of(eve, ABTest) == await count_of(eve, ABTestVariant) == 0


async def test_references_to_another_accounts_tests_resolve_to_null(shop: ActiveShop) -> None:
    eve = await open_shop()
    test_id = await created(shop)
    (variant, *_) = await variant_names(shop, test_id)
    document = """query($r: [_Any!]!) {
      _entities(representations: $r) { ... on ABTest { name } ... on ABTestVariant { name } }
    }"""
    requested = [
        {"__typename": "ABTest", "id": test_id},
        {"__typename": "ABTestVariant", "id": str(variant)},
    ]

    mine = await run(schema, shop.owner, document, r=requested)
    theirs = await run(schema, eve.owner, document, r=requested)

    assert mine.data["_entities"] == [{"name": "Wording"}, {"name": "short"}]
    assert theirs.data["_entities"] == [None, None]


async def test_many_notifications_with_their_tests_cost_as_many_statements_as_one(
    shop: ActiveShop,
) -> None:
    ids = [await another(shop) for _ in range(10)]

    async def ask(*notification_ids: UUID) -> Answer:
        requested = [{"__typename": "Notification", "id": str(id_)} for id_ in notification_ids]
        return await run(schema, shop.owner, OF_NOTIFICATIONS, r=requested)

    with counted_statements() as few:
        await ask(ids[0])
    with counted_statements() as many:
        answer = await ask(*ids)

    tests = [it["abTests"]["edges"] for it in answer.data["_entities"]]
    expected = {"name": "T", "variants": [{"name": "a"}, {"name": "b"}]}
    assert tests == [[{"node": expected}]] * 10
    assert len(few) == len(many) == 6  # set the viewer, then select: notifications, tests, variants


async def another(shop: ActiveShop) -> UUID:
    """Create another notification, with a test."""
    async with db.transaction(shop.owner) as session:
        row = await service.create(
            session,
            account_id=shop.account_id,
            site_id=shop.site_id,
            name="N",
            type_="RECENT_ORDER",
        )
        variants = [NewVariant("a", None, 1), NewVariant("b", None, 1)]
        await ab_tests.create(session, notification=row, name="T", variants=variants)
        return row.id


async def test_a_running_test_distributes_claims_by_weight(shop: ActiveShop) -> None:
    (before,) = await stored(*orders_of(shop, 1))
    test_id = await started(shop)
    during = await stored(*orders_of(shop, 400, first=1))
    await change(shop, STOP, test_id)
    (after,) = await stored(*orders_of(shop, 1, first=401))

    names = await variant_names(shop, test_id)
    by_name = Counter(names[claim.variant_id] for claim in during)
    assert by_name["short"] + by_name["own"] == 400
    assert 55 <= by_name["short"] <= 145  # 100 expected of a weight of 1 in 4; five deviations
    assert {claim.text.split()[-1] for claim in during if names[claim.variant_id] == "short"} == {
        "sold"
    }
    assert all("bought" in it.text for it in during if names[it.variant_id] == "own")
    assert (before.variant_id, after.variant_id) == (None, None)
    assert before.text == "Anna bought Shoes 0"


async def test_a_replay_returns_the_same_claims_after_the_test_changes(shop: ActiveShop) -> None:
    orders = orders_of(shop, 20)
    first = await started(shop)
    once = [(it.id, it.text, it.variant_id, it.published_at) for it in await stored(*orders)]

    async def again() -> list[tuple[UUID, str, UUID | None, datetime]]:
        return [(it.id, it.text, it.variant_id, it.published_at) for it in await stored(*orders)]

    assert await again() == once
    await change(shop, STOP, first)
    assert await again() == once
    await started(shop, variants=[{"name": "x", "body": "{{ product }}?"}, {"name": "y"}])
    assert await again() == once
    await pause(shop)
    assert await again() == once


async def test_a_stored_claim_is_returned_when_the_current_variant_renders_nothing(
    shop: ActiveShop,
) -> None:
    nameless = "{% if product == 'Shoes' %}{{ product }}{% endif %}"  # silent on "Shoes 1"
    (before,) = await stored(*orders_of(shop, 1))
    silent = [{"name": name, "body": nameless} for name in ("a", "b")]
    await started(shop, variants=silent)

    again = await stored(*orders_of(shop, 2))

    assert [(it.id, it.text) for it in again] == [(before.id, before.text)]


async def test_a_claim_has_the_variant_that_rendered_it(shop: ActiveShop) -> None:
    await stored(*orders_of(shop, 1))
    await started(shop, variants=[{"name": "a", "weight": 2}, {"name": "b", "weight": 2}])
    await stored(*orders_of(shop, 1, first=1))

    answer = await run(schema, shop.owner, CLAIMS, id=str(shop.notification_id))

    nodes = [it["node"] for it in answer.data["notification"]["claims"]["edges"]]
    assert [node["text"] for node in nodes] == ["Anna bought Shoes 0", "Anna bought Shoes 1"]
    assert nodes[0]["variant"] is None
    assert nodes[1]["variant"] in ({"name": "a", "weight": 2}, {"name": "b", "weight": 2})


SHARES = (("a", 1), ("b", 2), ("c", 97))


def test_variants_are_chosen_by_weight_and_always_the_same() -> None:
    test_id = new_id()
    variants = [CachedVariant(new_id(), test_id, name, weight) for name, weight in SHARES]
    ids = [derived_id(NOON, number) for number in range(20_000)]

    drawn = [ab_tests.choose_variant(id_, variants) for id_ in ids]

    counts = Counter(it.body for it in drawn if it)
    assert drawn == [ab_tests.choose_variant(id_, variants) for id_ in ids]
    assert counts.total() == 20_000
    assert 140 <= counts["a"] <= 260
    assert 320 <= counts["b"] <= 480
    assert ab_tests.choose_variant(ids[0], []) is None
