"""Sites through their schema, on the real PostgreSQL."""

from uuid import UUID, uuid4

import pytest

from subgraphs.kernel import db
from subgraphs.kernel.identity.credentials import SiteKeys
from subgraphs.kernel.identity.tenants import visible_sites
from subgraphs.kernel.identity.viewer import NOBODY, Viewer, ViewerKind
from subgraphs.kernel.ids import new_id
from subgraphs.sites.schema import schema
from subgraphs.users.models import Account
from subgraphs.users.schema import schema as users_schema
from tests.fixtures.graph import Answer, counted_statements, run, user

pytestmark = pytest.mark.usefixtures("stores")

SIGN_UP = "mutation($input: SignUpInput!) { signUp(input: $input) { user { id accounts { id } } } }"
CREATE = """
mutation($input: CreateSiteInput!) {
  createSite(input: $input) { id name domain siteKey account { id } }
}"""
PAGE = """
query($first: Int!, $after: String) {
  sites(first: $first, after: $after) {
    edges { cursor node { name } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
ENTITIES = """
query($representations: [_Any!]!) {
  _entities(representations: $representations) {
    ... on Account { sites(first: 50) { edges { node { name account { id } } } } }
  }
}"""


async def merchant() -> Viewer:
    fields = {
        "email": f"m.{uuid4().hex}@example.com",
        "password": "correct horse",
        "fullName": "Merchant",
        "accountName": "Shops",
    }
    made = (await run(users_schema, NOBODY, SIGN_UP, input=fields)).data["signUp"]["user"]
    return user(UUID(made["id"]), UUID(made["accounts"][0]["id"]))


def fresh_domain() -> str:
    return f"{uuid4().hex}.example.com"


async def create(viewer: Viewer, account_id: UUID, name: str = "Shoes", domain: str = "") -> Answer:
    fields = {"accountId": str(account_id), "name": name, "domain": domain or fresh_domain()}
    return await run(schema, viewer, CREATE, input=fields)


async def test_a_new_site_has_a_key_with_a_stored_credential() -> None:
    anna = await merchant()
    domain = fresh_domain()
    fields = {"accountId": str(anna.account_ids[0]), "name": " Shoes ", "domain": domain.upper()}

    answer = await run(schema, anna, CREATE, input=fields)

    site = answer.data["createSite"]
    assert (site["name"], site["domain"]) == ("Shoes", domain)
    assert site["account"] == {"id": str(anna.account_ids[0])}
    access = await SiteKeys().find(site["siteKey"])
    assert access is not None
    assert (str(access.site_id), access.account_id, access.domain) == (
        site["id"],
        anna.account_ids[0],
        domain,
    )


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("", "a.example.com"),
        ("x" * 201, "a.example.com"),
        ("Sho\x00es", "a.example.com"),
        ("Sho\ud800es", "a.example.com"),
        ("Shoes", "https://a.example.com"),
        ("Shoes", "a.example.com/path"),
        ("Shoes", "-a.example.com"),
        ("Shoes", "a..example.com"),
        ("Shoes", "a" * 64 + ".com"),
        ("Shoes", "a b.com"),
        ("Shoes", ""),
    ],
)
async def test_invalid_sites_are_rejected_and_not_stored(name: str, domain: str) -> None:
    anna = await merchant()
    fields = {"accountId": str(anna.account_ids[0]), "name": name, "domain": domain}

    answer = await run(schema, anna, CREATE, input=fields)

    assert answer == (None, ["BAD_USER_INPUT"])
    assert (await run(schema, anna, PAGE, first=1)).data["sites"]["edges"] == []


async def test_a_domain_belongs_to_one_site() -> None:
    anna, eve, domain = await merchant(), await merchant(), fresh_domain()
    await create(anna, anna.account_ids[0], domain=domain)

    answer = await create(eve, eve.account_ids[0], domain=domain)

    assert answer == (None, ["CONFLICT"])


async def test_other_viewers_cannot_create_a_site() -> None:
    anna, eve = await merchant(), await merchant()
    account_id = anna.account_ids[0]
    looking = user(uuid4(), account_id, read_only=(account_id,))

    assert await create(eve, account_id) == (None, ["NOT_FOUND"])
    assert await create(looking, account_id) == (None, ["FORBIDDEN"])
    assert await create(NOBODY, account_id) == (None, ["UNAUTHENTICATED"])
    assert (await run(schema, anna, PAGE, first=1)).data["sites"]["edges"] == []


async def test_pages_are_newest_first_without_gaps() -> None:
    anna = await merchant()
    for name in ("one", "two", "three"):
        await create(anna, anna.account_ids[0], name=name)

    first = (await run(schema, anna, PAGE, first=2)).data["sites"]
    rest = (await run(schema, anna, PAGE, first=2, after=first["pageInfo"]["endCursor"])).data[
        "sites"
    ]

    assert [edge["node"]["name"] for edge in first["edges"]] == ["three", "two"]
    assert [edge["node"]["name"] for edge in rest["edges"]] == ["one"]
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert first["pageInfo"]["startCursor"] == first["edges"][0]["cursor"]


@pytest.mark.parametrize("page", [{"first": 0}, {"first": 101}, {"first": 1, "after": "nonsense"}])
async def test_invalid_page_arguments_are_rejected(page: dict[str, object]) -> None:
    anna = await merchant()

    assert (await run(schema, anna, PAGE, **page)).codes == ["BAD_USER_INPUT"]


async def test_another_accounts_site_is_not_found_and_hidden_by_row_security() -> None:
    anna, eve = await merchant(), await merchant()
    made = await create(anna, anna.account_ids[0])
    site_id = made.data["createSite"]["id"]
    document = "query($id: ID!) { site(id: $id) { name } }"

    assert await run(schema, eve, document, id=site_id) == ({"site": None}, ["NOT_FOUND"])
    assert await run(schema, eve, document, id="nonsense") == ({"site": None}, ["NOT_FOUND"])
    assert (await run(schema, anna, document, id=site_id)).data == {"site": {"name": "Shoes"}}
    # The permission check aside: the same statement sees nothing as someone else.
    async with db.read_session(eve) as session:
        assert await visible_sites(session, [UUID(site_id)]) == set()
    async with db.read_session(Viewer(ViewerKind.NOBODY)) as session:
        assert await visible_sites(session, [UUID(site_id)]) == set()


async def test_many_accounts_with_their_sites_cost_as_many_statements_as_one() -> None:
    anna = await merchant()
    accounts = [anna.account_ids[0], *(new_id() for _ in range(4))]
    viewer = user(anna.id or uuid4(), *accounts)
    async with db.transaction(viewer) as session:
        session.add_all(Account(id=account, name="More") for account in accounts[1:])
    for account in accounts:
        for _ in range(3):
            await create(viewer, account)

    def representations(count: int) -> list[dict[str, str]]:
        return [{"__typename": "Account", "id": str(account)} for account in accounts[:count]]

    with counted_statements() as few:
        await run(schema, viewer, ENTITIES, representations=representations(1))
    with counted_statements() as many:
        answer = await run(schema, viewer, ENTITIES, representations=representations(5))

    assert [len(entity["sites"]["edges"]) for entity in answer.data["_entities"]] == [3] * 5
    assert len(many) == len(few) == 2  # whose rows, then the rows
