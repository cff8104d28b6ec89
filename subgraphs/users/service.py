"""The rules of users, accounts and members."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import any_, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.errors import BadUserInput, Conflict, Forbidden, NotFound
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.reads import Session, Statement, rows, uuids
from subgraphs.kernel.text import can_be_stored
from subgraphs.users.models import Account, Member, User

MIN_PASSWORD, MAX_PASSWORD = 10, 200
MAX_NAME = 200
MAX_EMAIL = 254  # RFC 5321, section 4.5.3.1.3

# One @ with something on both sides and no white space.
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

_CREATE_DATA_KEY = text("SELECT create_data_key(:key_id, :account_id)")
_FIND_LOGIN = text("SELECT user_id, hashed_password, account_ids FROM find_login(:email)")
_PROFILES = Statement(
    select(
        User.id,
        func.get_user_email(User.id).label("email"),
        func.get_user_full_name(User.id).label("full_name"),
        User.created_at,
    ).where(User.id == any_(uuids("ids")))
)
_ACCOUNTS = Statement(select(Account).where(Account.id == any_(uuids("ids"))))
_MEMBERS = Statement(
    select(Member)
    .where(Member.account_id == any_(uuids("ids")))
    .order_by(Member.joined_at, Member.user_id)
)
_ACCOUNTS_OF_USERS = Statement(
    select(Member.user_id, *Account.__table__.columns)
    .join(Account, Account.id == Member.account_id)
    .where(Member.user_id == any_(uuids("ids")))
    .order_by(Account.id)
)


class Login(NamedTuple):
    """The user of an e-mail address, and the hash to check the password against."""

    user_id: UUID
    hashed_password: str | None
    account_ids: Sequence[UUID]


class Profile(NamedTuple):
    """A user with decrypted personal data."""

    id: UUID
    email: str
    full_name: str | None
    created_at: datetime


def check_sign_up(*, email: str, password: str, full_name: str, account_name: str) -> None:
    """Check the input of a sign-up.

    Raises:
        BadUserInput: names the field and what is allowed.
    """
    if not is_email(email):
        raise BadUserInput("`email` must be an e-mail address.")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD or not can_be_stored(password):
        raise BadUserInput(f"`password` must have {MIN_PASSWORD} to {MAX_PASSWORD} characters.")
    for field, value in (("fullName", full_name), ("accountName", account_name)):
        if not 1 <= len(value.strip()) <= MAX_NAME or not can_be_stored(value):
            raise BadUserInput(f"`{field}` must have 1 to {MAX_NAME} characters, none of them NUL.")


def is_email(text: str) -> bool:
    """Whether the text has the form of an e-mail address."""
    return len(text) <= MAX_EMAIL and bool(_EMAIL.fullmatch(text)) and can_be_stored(text)


async def sign_up(
    session: AsyncSession,
    *,
    user_id: UUID,
    account_id: UUID,
    email: str,
    hashed_password: str,
    full_name: str,
    account_name: str,
) -> None:
    """Create a user and an account that the user owns.

    Raises:
        Conflict: the e-mail address is already in use.
    """
    session.add(Account(id=account_id, name=account_name.strip()))
    await session.flush()
    key_id = new_id()
    await session.execute(_CREATE_DATA_KEY, {"key_id": key_id, "account_id": account_id})
    # An INSERT without the ORM, which would read the row back: the trigger has cleared `email`.
    statement = insert(User).values(
        id=user_id,
        email=email,
        email_encryption_key_id=key_id,
        full_name=full_name.strip(),
        hashed_password=hashed_password,
    )
    try:
        await session.execute(statement)
    except IntegrityError as error:
        raise Conflict("This e-mail address is already in use; log in instead.") from error
    session.add(Member(account_id=account_id, user_id=user_id, role="OWNER"))
    await session.flush()


async def find_login(session: AsyncSession, *, email: str) -> Login | None:
    """The user with an e-mail address, or None. Works without a viewer."""
    if not is_email(email):
        return None
    row = (await session.execute(_FIND_LOGIN, {"email": email})).one()
    return Login(*row) if row.user_id else None


async def get_profiles(session: Session, user_ids: Collection[UUID]) -> Mapping[UUID, Profile]:
    """The users by id, without those that the viewer may not read; one statement."""
    return {row[0]: Profile(*row) for row in await rows(session, _PROFILES, ids=user_ids)}


async def get_accounts(session: Session, account_ids: Collection[UUID]) -> Mapping[UUID, Account]:
    """The accounts by id, without those that the viewer is not a member of."""
    found = await rows(session, _ACCOUNTS, ids=account_ids)
    return {account.id: account for account in found}


async def list_members(
    session: Session, account_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[Member]]:
    """The members of each account, in the order in which they joined."""
    found: dict[UUID, list[Member]] = {account_id: [] for account_id in account_ids}
    for member in await rows(session, _MEMBERS, ids=account_ids):
        found[member.account_id].append(member)
    return found


async def list_accounts(
    session: Session, user_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[Account]]:
    """The accounts of each user that the viewer is a member of too."""
    found: dict[UUID, list[Account]] = {user_id: [] for user_id in user_ids}
    for account in await rows(session, _ACCOUNTS_OF_USERS, ids=user_ids):
        found[account.user_id].append(account)
    return found


async def add_member(
    session: AsyncSession, *, account_id: UUID, email: str, role: str, by: UUID
) -> Member:
    """Give a user who has signed up a role in an account.

    Raises:
        BadUserInput: no user has this e-mail address.
        Conflict: the user is a member already.
        Forbidden: `role` is OWNER and `by` is not an owner.
    """
    if role == "OWNER" and by not in await _owners(session, account_id):
        raise Forbidden("Only an owner may add an owner.")
    login = await find_login(session, email=email)
    if login is None:
        raise BadUserInput("No user has this e-mail address; ask them to sign up first.")
    statement = (
        insert(Member)
        .values(account_id=account_id, user_id=login.user_id, role=role)
        .on_conflict_do_nothing()
        .returning(Member)
    )
    member = await session.scalar(statement)
    if member is None:
        raise Conflict("This user is already a member of the account.")
    return member


async def remove_member(
    session: AsyncSession, *, account_id: UUID, user_id: UUID, by: UUID
) -> None:
    """Remove a user from an account.

    Raises:
        NotFound: the user is not a member.
        Conflict: the user is the last owner.
        Forbidden: the user is an owner and `by` is not.
    """
    owners = await _owners(session, account_id)
    if user_id in owners and by not in owners:
        raise Forbidden("Only an owner may remove an owner.")
    if owners == {user_id}:
        raise Conflict("An account must keep at least one owner; add another owner first.")
    removed = await session.scalar(
        delete(Member)
        .where(Member.account_id == account_id, Member.user_id == user_id)
        .returning(Member.user_id)
    )
    if removed is None:
        raise NotFound("The account has no such member.")


async def _owners(session: AsyncSession, account_id: UUID) -> set[UUID]:
    """The owners of an account. Locks the rows, so a concurrent change waits and then sees this
    one."""
    statement = (
        select(Member.user_id)
        .where(Member.account_id == account_id, Member.role == "OWNER")
        .with_for_update()
    )
    return set(await session.scalars(statement))
