"""Query and Mutation of users: permission, service, type."""

from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import strawberry

from subgraphs.kernel import db
from subgraphs.kernel.errors import NotFound, Unauthenticated
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity import credentials
from subgraphs.kernel.identity.permissions import in_account, may_change
from subgraphs.kernel.identity.sessions import SESSION_LIFETIME, session_signer
from subgraphs.kernel.identity.viewer import NOBODY, Viewer, ViewerKind
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.redis.invalidation import Change, publish
from subgraphs.users import passwords, personal_data, service, throttle
from subgraphs.users.loaders import AccountById, ProfileById
from subgraphs.users.types import (
    Account,
    AddMemberInput,
    LogInInput,
    Member,
    RemoveMemberInput,
    Session,
    SignUpInput,
    User,
)

LOG_INS = throttle.Limit(tries=10, every=timedelta(minutes=5))
"""Attempts per e-mail address: enough for a forgetful person, too few to guess a password."""


async def me(info: Info) -> User:
    profile = await info.context.loader(ProfileById).load(cast(UUID, info.context.viewer.id))
    if profile is None:
        raise Unauthenticated("This user no longer exists.")
    return User.of(profile)


async def account(info: Info, id: strawberry.ID) -> Account | None:
    row = await info.context.loader(AccountById).load(to_uuid(id))
    if row is None:
        raise NotFound("No account with this ID.")
    return Account.of(row)


async def sign_up(info: Info, input: SignUpInput) -> Session:
    email = input.email.strip()
    service.check_sign_up(
        email=email,
        password=input.password,
        full_name=input.full_name,
        account_name=input.account_name,
    )
    hashed_password = await passwords.hashed(input.password)
    user_id, account_id = new_id(), new_id()
    viewer = Viewer(ViewerKind.USER, user_id, (account_id,))
    async with personal_data.transaction(viewer) as session:
        await service.sign_up(
            session,
            user_id=user_id,
            account_id=account_id,
            email=email,
            hashed_password=hashed_password,
            full_name=input.full_name,
            account_name=input.account_name,
        )
    return await _open_session(info, viewer)


async def log_in(info: Info, input: LogInInput) -> Session:
    email = input.email.strip()
    await throttle.hit(f"log-in:{credentials.digest(email.lower()).hex()}", LOG_INS)
    async with personal_data.transaction(NOBODY) as session:
        login = await service.find_login(session, email=email)
    password = input.password[: service.MAX_PASSWORD + 1]  # bounds the work of a hash
    if not await passwords.matches(password, login and login.hashed_password) or not login:
        raise Unauthenticated("The e-mail address or the password is wrong.")
    viewer = Viewer(ViewerKind.USER, login.user_id, tuple(login.account_ids))
    return await _open_session(info, viewer)


async def log_out(info: Info) -> bool:
    viewer = info.context.viewer
    async with db.transaction(viewer) as session:
        await credentials.store_ended_session(
            session,
            session_id=cast(UUID, viewer.session_id),
            expires_at=datetime.now(UTC) + SESSION_LIFETIME,
        )
    await publish(Change("session", cast(UUID, viewer.session_id)))
    return True


async def add_member(info: Info, input: AddMemberInput) -> Member:
    viewer = info.context.viewer
    account_id = in_account(viewer, input.account_id)
    may_change(viewer, account_id)
    async with personal_data.transaction(viewer) as session:
        row = await service.add_member(
            session,
            account_id=account_id,
            email=input.email.strip(),
            role=input.role.value,
            by=cast(UUID, viewer.id),
        )
    await publish(Change("user", row.user_id))
    return Member.of(row)


async def remove_member(info: Info, input: RemoveMemberInput) -> Account:
    viewer = info.context.viewer
    account_id = in_account(viewer, input.account_id)
    user_id = to_uuid(input.user_id)
    if user_id != viewer.id:  # every member may leave
        may_change(viewer, account_id)
    async with db.transaction(viewer) as session:
        await service.remove_member(
            session, account_id=account_id, user_id=user_id, by=cast(UUID, viewer.id)
        )
        account = Account.of((await service.get_accounts(session, [account_id]))[account_id])
    await publish(Change("user", user_id))
    return account


async def _open_session(info: Info, viewer: Viewer) -> Session:
    info.context.act_as(viewer)
    token, expires_at = session_signer().sign(cast(UUID, viewer.id), new_id())
    return Session(token=token, expires_at=expires_at, user=await me(info))
