"""Users through their schema, on the real PostgreSQL."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from subgraphs.kernel import db
from subgraphs.kernel.identity import credentials
from subgraphs.kernel.identity.sessions import session_verifier
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.users.schema import schema
from tests.fixtures.graph import Answer, counted_statements, run, user

pytestmark = pytest.mark.usefixtures("stores")

SIGN_UP = """
mutation($input: SignUpInput!) {
  signUp(input: $input) { token user { id email fullName accounts { id name } } }
}"""
LOG_IN = "mutation($input: LogInInput!) { logIn(input: $input) { token user { id } } }"
MEMBERS = "query($id: ID!) { account(id: $id) { members { role user { email fullName } } } }"
ADD_MEMBER = "mutation($input: AddMemberInput!) { addMember(input: $input) { role } }"
REMOVE_MEMBER = "mutation($input: RemoveMemberInput!) { removeMember(input: $input) { id } }"
PASSWORD = "correct horse"


def fresh_email() -> str:
    return f"Anna.{uuid4().hex}@Example.com"


async def sign_up(email: str | None = None, **changes: str) -> Answer:
    fields = {
        "email": email or fresh_email(),
        "password": PASSWORD,
        "fullName": "Anna Berg",
        "accountName": "Anna's shops",
        **changes,
    }
    return await run(schema, NOBODY, SIGN_UP, input=fields)


async def member(email: str) -> Viewer:
    """A new user with an account of their own, as a viewer."""
    made = (await sign_up(email)).data["signUp"]["user"]
    return user(UUID(made["id"]), UUID(made["accounts"][0]["id"]))


async def stored(statement: str, **values: object) -> object:
    async with db.worker_engine().connect() as connection:
        return await connection.scalar(text(statement), values)


async def test_signing_up_makes_a_user_and_an_account_and_a_session() -> None:
    email = fresh_email()

    answer = await sign_up(email)

    made = answer.data["signUp"]
    assert answer.codes == []
    assert (made["user"]["email"], made["user"]["fullName"]) == (email, "Anna Berg")
    assert [account["name"] for account in made["user"]["accounts"]] == ["Anna's shops"]
    assert str(session_verifier().verify(made["token"]).user_id) == made["user"]["id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "nobody"},
        {"email": "a b@example.com"},
        {"email": "a@" + "b" * 250 + ".com"},
        {"password": "short"},
        {"password": "x" * 201},
        {"password": "correct \ud800 horse"},
        {"email": "a\x00b@example.com"},
        {"fullName": "Anna \x00"},
        {"fullName": "   "},
        {"accountName": "x" * 201},
    ],
)
async def test_invalid_sign_ups_are_rejected(changes: dict[str, str]) -> None:
    assert await sign_up(**changes) == (None, ["BAD_USER_INPUT"])


async def test_an_email_address_signs_up_once_regardless_of_case() -> None:
    email = fresh_email()
    await sign_up(email)

    answer = await sign_up(email.upper(), accountName="A second account")

    assert answer == (None, ["CONFLICT"])


async def test_log_in_ignores_the_case_of_the_address_and_checks_the_password() -> None:
    email = fresh_email()
    made = (await sign_up(email)).data["signUp"]["user"]

    right = await run(schema, NOBODY, LOG_IN, input={"email": email.lower(), "password": PASSWORD})
    wrong = await run(schema, NOBODY, LOG_IN, input={"email": email, "password": "guess"})
    unknown = await run(
        schema, NOBODY, LOG_IN, input={"email": fresh_email(), "password": PASSWORD}
    )

    assert right.data["logIn"]["user"]["id"] == made["id"]
    assert wrong == unknown == (None, ["UNAUTHENTICATED"])


async def test_repeated_failed_log_ins_are_rate_limited() -> None:
    email = fresh_email()
    guess = {"email": email, "password": "guess"}

    codes = [(await run(schema, NOBODY, LOG_IN, input=guess)).codes[0] for _ in range(11)]

    assert codes == ["UNAUTHENTICATED"] * 10 + ["RATE_LIMITED"]


async def test_logging_out_revokes_the_session() -> None:
    anna = await member(fresh_email())
    session_id = uuid4()
    viewer = Viewer(anna.kind, anna.id, anna.account_ids, session_id=session_id)
    assert not await credentials.session_ended(session_id)

    answer = await run(schema, viewer, "mutation { logOut }")

    assert answer == ({"logOut": True}, [])
    assert await credentials.session_ended(session_id)
    again = await run(schema, viewer, "mutation { first: logOut second: logOut }")
    assert again == ({"first": True, "second": True}, [])


async def test_me_is_for_users_only() -> None:
    site = Viewer(kind=type(NOBODY.kind).SITE, id=uuid4())

    assert await run(schema, NOBODY, "{ me { id } }") == (None, ["UNAUTHENTICATED"])
    assert await run(schema, site, "{ me { id } }") == (None, ["FORBIDDEN"])


async def test_members_can_be_added_listed_and_removed() -> None:
    anna_email, bo_email = fresh_email(), fresh_email()
    anna, bo = await member(anna_email), await member(bo_email)
    account = str(anna.account_ids[0])
    invitation = {"accountId": account, "email": bo_email, "role": "VIEWER"}

    added = await run(schema, anna, ADD_MEMBER, input=invitation)
    again = await run(schema, anna, ADD_MEMBER, input=invitation)
    seen = await run(schema, anna, MEMBERS, id=account)
    removed = await run(
        schema, anna, REMOVE_MEMBER, input={"accountId": account, "userId": str(bo.id)}
    )

    assert (added.data, again.codes) == ({"addMember": {"role": "VIEWER"}}, ["CONFLICT"])
    assert seen.data["account"]["members"] == [
        {"role": "OWNER", "user": {"email": anna_email, "fullName": "Anna Berg"}},
        {"role": "VIEWER", "user": {"email": bo_email, "fullName": "Anna Berg"}},
    ]
    assert removed.data == {"removeMember": {"id": account}}
    assert (await run(schema, anna, MEMBERS, id=account)).data["account"]["members"] == [
        {"role": "OWNER", "user": {"email": anna_email, "fullName": "Anna Berg"}}
    ]


async def test_the_last_owner_cannot_be_removed() -> None:
    anna = await member(fresh_email())
    account = str(anna.account_ids[0])

    answer = await run(
        schema, anna, REMOVE_MEMBER, input={"accountId": account, "userId": str(anna.id)}
    )

    assert answer.codes == ["CONFLICT"]
    assert await stored("SELECT count(*) FROM members WHERE account_id = :a", a=account) == 1


async def test_a_read_only_member_cannot_change_members() -> None:
    anna, bo_email = await member(fresh_email()), fresh_email()
    await member(bo_email)
    account_id = anna.account_ids[0]
    looking = user(uuid4(), account_id, read_only=(account_id,))

    answer = await run(
        schema,
        looking,
        ADD_MEMBER,
        input={"accountId": str(account_id), "email": bo_email, "role": "OWNER"},
    )

    assert answer.codes == ["FORBIDDEN"]
    assert await stored("SELECT count(*) FROM members WHERE account_id = :a", a=account_id) == 1


async def test_only_owners_can_add_and_remove_owners() -> None:
    anna, bo_email, eve_email = await member(fresh_email()), fresh_email(), fresh_email()
    bo, _ = await member(bo_email), await member(eve_email)
    account = str(anna.account_ids[0])
    as_admin = {"accountId": account, "email": bo_email, "role": "ADMIN"}
    await run(schema, anna, ADD_MEMBER, input=as_admin)
    admin = user(bo.id or uuid4(), anna.account_ids[0])

    made = await run(
        schema, admin, ADD_MEMBER, input={"accountId": account, "email": eve_email, "role": "OWNER"}
    )
    removed = await run(
        schema, admin, REMOVE_MEMBER, input={"accountId": account, "userId": str(anna.id)}
    )

    assert (made.codes, removed.codes) == (["FORBIDDEN"], ["FORBIDDEN"])
    assert await stored("SELECT count(*) FROM members WHERE account_id = :a", a=account) == 2


async def test_a_read_only_member_can_leave() -> None:
    anna, bo_email = await member(fresh_email()), fresh_email()
    bo = await member(bo_email)
    account_id = anna.account_ids[0]
    invitation = {"accountId": str(account_id), "email": bo_email, "role": "VIEWER"}
    await run(schema, anna, ADD_MEMBER, input=invitation)
    looking = user(bo.id or uuid4(), account_id, read_only=(account_id,))

    left = await run(
        schema, looking, REMOVE_MEMBER, input={"accountId": str(account_id), "userId": str(bo.id)}
    )

    assert left.codes == []
    assert await stored("SELECT count(*) FROM members WHERE account_id = :a", a=account_id) == 1


async def test_another_merchants_account_is_not_found_and_not_changed() -> None:
    anna, eve_email = await member(fresh_email()), fresh_email()
    eve = await member(eve_email)
    account = str(anna.account_ids[0])

    read = await run(schema, eve, MEMBERS, id=account)
    added = await run(
        schema, eve, ADD_MEMBER, input={"accountId": account, "email": eve_email, "role": "OWNER"}
    )
    removed = await run(
        schema, eve, REMOVE_MEMBER, input={"accountId": account, "userId": str(anna.id)}
    )

    assert (read.data, read.codes) == ({"account": None}, ["NOT_FOUND"])
    assert (added.codes, removed.codes) == (["NOT_FOUND"], ["NOT_FOUND"])
    assert await stored("SELECT count(*) FROM members WHERE account_id = :a", a=account) == 1


async def test_fifty_members_cost_as_many_statements_as_one() -> None:
    anna = await member(fresh_email())
    account = str(anna.account_ids[0])
    with counted_statements() as few:
        await run(schema, anna, MEMBERS, id=account)

    for _ in range(5):
        email = fresh_email()
        await member(email)
        await run(
            schema, anna, ADD_MEMBER, input={"accountId": account, "email": email, "role": "ADMIN"}
        )
    with counted_statements() as many:
        answer = await run(schema, anna, MEMBERS, id=account)

    assert len(answer.data["account"]["members"]) == 6
    assert len(many) == len(few)
