"""The GraphQL types of users and accounts."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Self, cast
from uuid import UUID

import strawberry

from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_id, to_uuid
from subgraphs.users import models
from subgraphs.users.loaders import AccountById, AccountsOfUser, MembersOfAccount, ProfileById
from subgraphs.users.service import Profile


@strawberry.enum(
    description="A member's rights: OWNER and ADMIN may change the account, VIEWER only reads."
)
class Role(Enum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    VIEWER = "VIEWER"


@strawberry.federation.type(keys=["id"])
class User:
    """A person. Visible to the person and to members of the same accounts."""

    id: strawberry.ID
    email: str
    full_name: str | None
    created_at: datetime

    @strawberry.field
    async def accounts(self, info: Info) -> list[Account]:
        rows = await info.context.loader(AccountsOfUser).load(to_uuid(self.id))
        return [Account.of(row) for row in rows]

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:
        profile = await info.context.loader(ProfileById).load(to_uuid(id))
        return cls.of(profile) if profile else None

    @classmethod
    def of(cls, profile: Profile) -> Self:
        return cls(
            id=to_id(profile.id),
            email=profile.email,
            full_name=profile.full_name,
            created_at=profile.created_at,
        )


@strawberry.type
class Member:
    """A user's role in an account."""

    role: Role
    joined_at: datetime
    user_id: strawberry.Private[UUID]

    @strawberry.field
    async def user(self, info: Info) -> User:
        # A viewer who sees a membership is in the same account, so may read the user.
        profile = await info.context.loader(ProfileById).load(self.user_id)
        return User.of(cast(Profile, profile))

    @classmethod
    def of(cls, row: models.Member) -> Self:
        return cls(role=Role(row.role), joined_at=row.joined_at, user_id=row.user_id)


@strawberry.federation.type(keys=["id"])
class Account:
    """A merchant's organisation."""

    id: strawberry.ID
    name: str
    created_at: datetime

    @strawberry.field
    async def members(self, info: Info) -> list[Member]:
        rows = await info.context.loader(MembersOfAccount).load(to_uuid(self.id))
        return [Member.of(row) for row in rows]

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:
        row = await info.context.loader(AccountById).load(to_uuid(id))
        return cls.of(row) if row else None

    @classmethod
    def of(cls, row: models.Account) -> Self:
        return cls(id=to_id(row.id), name=row.name, created_at=row.created_at)


@strawberry.type
class Session:
    """A session. Send `Authorization: Bearer <token>` with each request until `expiresAt`."""

    token: str
    expires_at: datetime
    user: User


@strawberry.input
class SignUpInput:
    email: str
    password: str
    full_name: str
    account_name: str


@strawberry.input
class LogInInput:
    email: str
    password: str


@strawberry.input
class AddMemberInput:
    account_id: strawberry.ID
    email: str
    role: Role


@strawberry.input
class RemoveMemberInput:
    account_id: strawberry.ID
    user_id: strawberry.ID
