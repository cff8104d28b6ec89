"""How PostgreSQL stores personal data, and which roles can read it."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from subgraphs.kernel import db
from subgraphs.kernel.identity.viewer import NOBODY, Viewer
from subgraphs.users import personal_data
from subgraphs.users.schema import schema
from tests.fixtures.graph import run, user

pytestmark = pytest.mark.usefixtures("stores")

SIGN_UP = "mutation($input: SignUpInput!) { signUp(input: $input) { user { id accounts { id } } } }"
READ = text("SELECT get_user_email(:id), get_user_full_name(:id)")


async def person(email: str) -> Viewer:
    fields = {
        "email": email,
        "password": "correct horse",
        "fullName": "Anna Berg",
        "accountName": "A",
    }
    made = (await run(schema, NOBODY, SIGN_UP, input=fields)).data["signUp"]["user"]
    return user(UUID(made["id"]), UUID(made["accounts"][0]["id"]))


@pytest.fixture
async def anna() -> Viewer:
    return await person(f"anna.{uuid4().hex}@example.com")


async def test_personal_data_is_stored_encrypted(anna: Viewer) -> None:
    async with db.read_session(anna) as session:
        row = (
            await session.execute(
                text(
                    "SELECT users::text AS everything, email, full_name FROM users WHERE id = :id"
                ),
                {"id": anna.id},
            )
        ).one()

    assert (row.email, row.full_name) == (None, None)
    stored = row.everything.lower()
    for plain in ("anna.", "example.com", "berg"):
        assert plain not in stored
        assert plain.encode().hex() not in stored


async def test_users_can_read_their_own_data(anna: Viewer) -> None:
    async with personal_data.transaction(anna) as session:
        email, full_name = (await session.execute(READ, {"id": anna.id})).one()

    assert email.startswith("anna.")
    assert full_name == "Anna Berg"


async def test_another_user_reads_nothing(anna: Viewer) -> None:
    eve = await person(f"eve.{uuid4().hex}@example.com")

    async with personal_data.transaction(eve) as session:
        assert (await session.execute(READ, {"id": anna.id})).one() == (None, None)


async def test_without_the_key_nobody_reads_anything(anna: Viewer) -> None:
    async with db.read_session(anna) as session:
        with pytest.raises(DBAPIError, match="no key to personal data"):
            await session.execute(READ, {"id": anna.id})


async def test_the_app_cannot_read_the_data_keys(anna: Viewer) -> None:
    async with db.read_session(anna) as session:
        with pytest.raises(DBAPIError, match="permission denied"):
            await session.execute(text("SELECT wrapped_key FROM encryption_keys"))
