"""Integrations through their schema, on the real PostgreSQL."""

from uuid import UUID

import pytest
from sqlalchemy import select

from subgraphs.integrations import service
from subgraphs.integrations.inbox import store
from subgraphs.integrations.inbox.store import NewWebhook, Sender
from subgraphs.integrations.models import InboxItem, Integration
from subgraphs.integrations.schema import schema
from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.kernel.ids import new_id
from tests.fixtures.graph import Answer, counted_statements, run
from tests.fixtures.shop import Shop, more_sites, new_shop

pytestmark = pytest.mark.usefixtures("stores")

CONNECT = """
mutation($input: ConnectShopifyInput!) {
  connectShopify(input: $input) { url secret integration { id provider status site { id } } }
}"""
READ = """
query($id: ID!, $first: Int = 20, $after: String) {
  integration(id: $id) {
    status
    deliveries(first: $first, after: $after) {
      edges { node { topic status error receivedAt } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""
OF_SITES = """
query($representations: [_Any!]!) {
  _entities(representations: $representations) {
    ... on Site { integrations(first: 10) { edges { node {
      id deliveries(first: 5) { edges { node { topic } } }
    } } } }
  }
}"""
SECRET = "shpss_0123456789abcdef"


@pytest.fixture
async def shop() -> Shop:
    return await new_shop()


async def connect(shop: Shop, **fields: object) -> Answer:
    requested = {"siteId": str(shop.site_id), **fields}
    return await run(schema, shop.owner, CONNECT, input=requested)


async def connected(shop: Shop) -> Sender:
    made = (await connect(shop)).data["connectShopify"]["integration"]
    sender = await store.find_sender(UUID(made["id"]))
    assert sender is not None
    return sender


async def integrations_of(viewer: Viewer, *site_ids: UUID) -> list[list[dict[str, object]]]:
    requested = [{"__typename": "Site", "id": str(site_id)} for site_id in site_ids]
    answer = await run(schema, viewer, OF_SITES, representations=requested)
    return [
        [edge["node"] for edge in entity["integrations"]["edges"]]
        for entity in answer.data["_entities"]
    ]


async def received(sender: Sender, *topics: str, error: str | None = None) -> None:
    """Put webhooks into the inbox, one after the other."""
    for topic in topics:
        webhook = NewWebhook(
            id=new_id(),
            account_id=sender.account_id,
            site_id=sender.site_id,
            integration_id=sender.integration_id,
            delivery_id=f"d-{topic}",
            event_id=None,
            topic=topic,
            body=b"{}",
            error=error,
        )
        await store.insert([webhook])


async def test_connecting_returns_the_url_and_a_generated_secret(shop: Shop) -> None:
    answer = await connect(shop)

    made = answer.data["connectShopify"]
    integration_id = made["integration"].pop("id")
    assert made["url"] == f"{settings().public_url}/hooks/shopify/{integration_id}"
    assert len(bytes.fromhex(made["secret"])) == 32
    assert made["integration"] == {
        "provider": "SHOPIFY",
        "status": "CONNECTED",
        "site": {"id": str(shop.site_id)},
    }


async def test_the_secret_is_sealed_to_its_integration(shop: Shop) -> None:
    one = (await connect(shop, secret=SECRET)).data["connectShopify"]
    other = (await connect(shop)).data["connectShopify"]

    assert one["secret"] == SECRET != other["secret"]
    async with db.read_session(shop.owner) as session:
        row = await session.get_one(Integration, UUID(one["integration"]["id"]))
    assert SECRET.encode() not in row.sealed_secret
    sender = Sender(row.id, row.site_id, row.account_id, row.sealed_secret)
    assert sender.secret() == SECRET.encode()
    moved = sender._replace(integration_id=UUID(other["integration"]["id"]))
    with pytest.raises(Exception, match="^$") as refused:
        moved.secret()
    assert type(refused.value).__name__ == "InvalidTag"


@pytest.mark.parametrize("secret", ["", "short", "x" * 256, "with spaces in between", "x" * 15])
async def test_a_weak_secret_is_rejected(shop: Shop, secret: str) -> None:
    assert await connect(shop, secret=secret) == (None, ["BAD_USER_INPUT"])
    assert await integrations_of(shop.owner, shop.site_id) == [[]]


async def test_other_viewers_cannot_connect_a_site(shop: Shop) -> None:
    eve = await new_shop()

    assert await connect(eve, siteId=str(shop.site_id)) == (None, ["NOT_FOUND"])
    assert await connect(eve, siteId="nonsense") == (None, ["NOT_FOUND"])
    assert await connect(shop._replace(owner=shop.looker)) == (None, ["FORBIDDEN"])
    assert await connect(shop._replace(owner=NOBODY)) == (None, ["UNAUTHENTICATED"])
    assert await connect(shop._replace(owner=shop.storefront)) == (None, ["FORBIDDEN"])
    assert await integrations_of(shop.owner, shop.site_id) == [[]]


async def test_another_accounts_integration_is_not_found(shop: Shop) -> None:
    eve, sender = await new_shop(), await connected(shop)
    id_ = str(sender.integration_id)

    assert await run(schema, eve.owner, READ, id=id_) == ({"integration": None}, ["NOT_FOUND"])
    assert await run(schema, eve.owner, READ, id="x") == ({"integration": None}, ["NOT_FOUND"])
    assert await integrations_of(eve.owner, shop.site_id) == [[]]
    # The permission check aside: the same statements see nothing as someone else.
    async with db.read_session(eve.owner) as session:
        assert await service.get_many(session, [sender.integration_id]) == {}
        assert (await session.scalars(select(InboxItem))).all() == []


async def test_deliveries_are_newest_first_and_carry_no_body(shop: Shop) -> None:
    sender = await connected(shop)
    await received(sender, "orders/create", "orders/updated")
    await received(sender, "orders/bad", error="The body is not JSON.")
    id_ = str(sender.integration_id)

    with counted_statements() as seen:
        answer = await run(schema, shop.owner, READ, id=id_, first=2)
    page = answer.data["integration"]["deliveries"]
    rest = await run(schema, shop.owner, READ, id=id_, after=page["pageInfo"]["endCursor"])

    newest = page["edges"][0]["node"]
    assert (newest["topic"], newest["status"]) == ("orders/bad", "REJECTED")
    assert newest["error"] == "The body is not JSON."
    assert page["edges"][1]["node"] == {
        "topic": "orders/updated",
        "status": "RECEIVED",
        "error": None,
        "receivedAt": page["edges"][1]["node"]["receivedAt"],
    }
    assert page["pageInfo"]["hasNextPage"]
    (oldest,) = rest.data["integration"]["deliveries"]["edges"]
    assert oldest["node"]["topic"] == "orders/create"
    assert not [statement for statement in seen if "inbox.body" in statement]


async def test_many_sites_with_their_deliveries_cost_as_many_statements_as_one(shop: Shop) -> None:
    site_ids = await more_sites(shop, 10)
    for site_id in site_ids:
        await received(await connected(shop._replace(site_id=site_id)), "orders/create")

    with counted_statements() as few:
        await integrations_of(shop.owner, site_ids[0])
    with counted_statements() as many:
        found = await integrations_of(shop.owner, *site_ids)

    topics = [
        [edge["node"]["topic"] for edge in one["deliveries"]["edges"]]  # type: ignore[index]
        for integrations in found
        for one in integrations
    ]
    assert topics == [["orders/create"]] * 10
    assert len(many) == len(few) == 4  # set the viewer, then select: integrations, then deliveries
