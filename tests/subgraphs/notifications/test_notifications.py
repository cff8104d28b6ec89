"""Notifications through their schema, on the real PostgreSQL."""

from uuid import UUID

import pytest
from sqlalchemy import update

from subgraphs.kernel import db
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.notifications import service
from subgraphs.notifications.models import Notification
from subgraphs.notifications.schema import schema
from subgraphs.notifications.template_rendering import DEFAULT_BODY
from tests.fixtures.graph import Answer, counted_statements, run
from tests.fixtures.shop import Shop, more_sites, new_shop

pytestmark = pytest.mark.usefixtures("stores")

CREATE = """
mutation($input: CreateNotificationInput!) {
  createNotification(input: $input) {
    id name type status channels template { name body css } site { id }
  }
}"""
READ = "query($id: ID!) { notification(id: $id) { name status } }"
ACTIVATE = "mutation($id: ID!) { activateNotification(id: $id) { status } }"
PAUSE = "mutation($id: ID!) { pauseNotification(id: $id) { status } }"
OF_SITES = """
query($representations: [_Any!]!, $first: Int!, $after: String, $status: NotificationStatus) {
  _entities(representations: $representations) {
    ... on Site {
      notifications(first: $first, after: $after, status: $status) {
        edges { cursor node { name status template { body } } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}"""


@pytest.fixture
async def shop() -> Shop:
    return await new_shop()


async def create(shop: Shop, **fields: object) -> Answer:
    requested = {"siteId": str(shop.site_id), "name": "Orders", "type": "RECENT_ORDER", **fields}
    return await run(schema, shop.owner, CREATE, input=requested)


async def created(shop: Shop, **fields: object) -> str:
    made = (await create(shop, **fields)).data["createNotification"]
    return str(made["id"])


async def status_of(shop: Shop, id_: str) -> str:
    return str((await run(schema, shop.owner, READ, id=id_)).data["notification"]["status"])


async def archive(shop: Shop, id_: str) -> None:
    statement = update(Notification).where(Notification.id == UUID(id_)).values(status="ARCHIVED")
    async with db.transaction(shop.owner) as session:
        await session.execute(statement)


async def of_sites(shop: Shop, site_ids: list[UUID], **arguments: object) -> Answer:
    requested = [{"__typename": "Site", "id": str(site_id)} for site_id in site_ids]
    arguments = {"first": 10, **arguments}
    return await run(schema, shop.owner, OF_SITES, representations=requested, **arguments)


async def names_of(shop: Shop, **arguments: object) -> list[str]:
    (entity,) = (await of_sites(shop, [shop.site_id], **arguments)).data["_entities"]
    return [edge["node"]["name"] for edge in entity["notifications"]["edges"]]


async def test_a_new_notification_is_a_draft_with_the_default_template(shop: Shop) -> None:
    answer = await create(shop, name=" Orders ")

    made = answer.data["createNotification"]
    assert UUID(made.pop("id")).version == 7
    assert made == {
        "name": "Orders",
        "type": "RECENT_ORDER",
        "status": "DRAFT",
        "channels": ["STOREFRONT"],
        "template": {"name": "Orders", "body": DEFAULT_BODY, "css": None},
        "site": {"id": str(shop.site_id)},
    }


async def test_a_template_is_stored_unchanged(shop: Shop) -> None:
    template = {"body": "{{ product }} <b>!</b>", "css": ".toast { color: red } </style>"}

    answer = await create(shop, template=template)

    assert answer.data["createNotification"]["template"] == {"name": "Orders", **template}


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "  "},
        {"name": "x" * 201},
        {"name": "nul \x00"},
        {"template": {"body": "{{ product"}},
        {"template": {"body": "{{ email }}"}},
        {"template": {"body": "{{ product }}\x00"}},
        {"template": {"css": "x" * 10_001}},
        {"template": {"css": "\ud800"}},
        {"type": "NO_SUCH_TYPE"},
    ],
)
async def test_invalid_notifications_are_rejected_and_not_stored(
    shop: Shop, fields: dict[str, object]
) -> None:
    assert await create(shop, **fields) == (None, ["BAD_USER_INPUT"])
    assert await names_of(shop) == []


async def test_other_viewers_cannot_create_a_notification(shop: Shop) -> None:
    eve = await new_shop()

    assert await create(eve, siteId=str(shop.site_id)) == (None, ["NOT_FOUND"])
    assert await create(eve, siteId="nonsense") == (None, ["NOT_FOUND"])
    assert await create(shop._replace(owner=shop.looker)) == (None, ["FORBIDDEN"])
    assert await create(shop._replace(owner=NOBODY)) == (None, ["UNAUTHENTICATED"])
    assert await create(shop._replace(owner=shop.storefront)) == (None, ["FORBIDDEN"])
    assert await names_of(shop) == []


async def test_activating_and_pausing_can_be_repeated(shop: Shop) -> None:
    id_ = await created(shop)

    seen = [
        (await run(schema, shop.owner, document, id=id_)).data
        for document in (ACTIVATE, ACTIVATE, PAUSE, PAUSE, ACTIVATE)
    ]

    assert [next(iter(data.values()))["status"] for data in seen] == [
        "ACTIVE",
        "ACTIVE",
        "PAUSED",
        "PAUSED",
        "ACTIVE",
    ]
    assert await status_of(shop, id_) == "ACTIVE"


async def test_a_draft_cannot_be_paused_and_an_archived_notification_cannot_change(
    shop: Shop,
) -> None:
    draft, archived = await created(shop), await created(shop)
    await archive(shop, archived)

    answers = [
        await run(schema, shop.owner, PAUSE, id=draft),
        await run(schema, shop.owner, PAUSE, id=archived),
        await run(schema, shop.owner, ACTIVATE, id=archived),
    ]

    assert answers == [(None, ["CONFLICT"])] * 3
    assert await status_of(shop, draft) == "DRAFT"
    assert await status_of(shop, archived) == "ARCHIVED"


async def test_another_accounts_notification_is_not_found_and_not_changed(shop: Shop) -> None:
    eve, id_ = await new_shop(), await created(shop)

    assert await run(schema, eve.owner, READ, id=id_) == ({"notification": None}, ["NOT_FOUND"])
    assert await run(schema, eve.owner, ACTIVATE, id=id_) == (None, ["NOT_FOUND"])
    assert await run(schema, shop.looker, ACTIVATE, id=id_) == (None, ["FORBIDDEN"])
    assert await run(schema, NOBODY, ACTIVATE, id=id_) == (None, ["UNAUTHENTICATED"])
    assert await run(schema, shop.storefront, READ, id=id_) == (
        {"notification": None},
        ["FORBIDDEN"],
    )
    (entity,) = (await of_sites(eve, [shop.site_id])).data["_entities"]
    assert entity["notifications"]["edges"] == []
    assert await status_of(shop, id_) == "DRAFT"
    # The permission check aside: the same statement sees nothing as someone else.
    async with db.read_session(eve.owner) as session:
        assert await service.get_many(session, [UUID(id_)]) == {}


async def test_a_reference_resolves_to_the_notification_or_null(shop: Shop) -> None:
    eve, id_ = await new_shop(), await created(shop)
    document = """
    query($r: [_Any!]!) { _entities(representations: $r) { ... on Notification { name } } }"""

    async def seen_by(viewer: Viewer) -> object:
        requested = [{"__typename": "Notification", "id": id_}]
        return (await run(schema, viewer, document, r=requested)).data["_entities"]

    assert await seen_by(shop.owner) == [{"name": "Orders"}]
    assert await seen_by(eve.owner) == [None]


async def test_pages_are_newest_first_and_can_be_filtered_by_status(shop: Shop) -> None:
    for name in ("one", "two", "three"):
        await created(shop, name=name)
    two = await created(shop, name="four")
    await run(schema, shop.owner, ACTIVATE, id=two)

    (entity,) = (await of_sites(shop, [shop.site_id], first=3)).data["_entities"]
    page = entity["notifications"]

    assert [edge["node"]["name"] for edge in page["edges"]] == ["four", "three", "two"]
    assert page["pageInfo"]["hasNextPage"]
    assert await names_of(shop, after=page["pageInfo"]["endCursor"]) == ["one"]
    assert await names_of(shop, status="ACTIVE") == ["four"]
    assert await names_of(shop, status="DRAFT") == ["three", "two", "one"]
    assert await names_of(shop, status="PAUSED") == []
    assert (await of_sites(shop, [shop.site_id], first=101)).codes == ["BAD_USER_INPUT"]


async def test_fifty_sites_with_their_notifications_cost_as_many_statements_as_one(
    shop: Shop,
) -> None:
    site_ids = await more_sites(shop, 50)
    async with db.transaction(shop.owner) as session:
        for site_id in site_ids:
            for name in ("one", "two"):
                await service.create(
                    session,
                    account_id=shop.account_id,
                    site_id=site_id,
                    name=name,
                    type_="RECENT_ORDER",
                )

    with counted_statements() as few:
        await of_sites(shop, site_ids[:1])
    with counted_statements() as many:
        answer = await of_sites(shop, site_ids)

    names = [
        [edge["node"]["name"] for edge in entity["notifications"]["edges"]]
        for entity in answer.data["_entities"]
    ]
    assert names == [["two", "one"]] * 50
    assert len(many) == len(few) == 4  # set the viewer, then select: notifications, then templates
