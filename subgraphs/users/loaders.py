"""Loaders of users: one class per key, one statement per batch."""

from collections.abc import Sequence
from uuid import UUID

from subgraphs.kernel.graphql.loading import Loader
from subgraphs.kernel.reads import ReadSession
from subgraphs.users import personal_data, service
from subgraphs.users.models import Account, Member
from subgraphs.users.service import Profile


class ProfileById(Loader[UUID, Profile | None]):
    """Users with their personal data; None for users that the viewer may not read."""

    async def load_all(self, session: ReadSession, keys: Sequence[UUID]) -> list[Profile | None]:
        await personal_data.unlock(session)
        found = await service.get_profiles(session, keys)
        return [found.get(key) for key in keys]


class AccountById(Loader[UUID, Account | None]):
    """Accounts by id; None for accounts that the viewer is not a member of."""

    async def load_all(self, session: ReadSession, keys: Sequence[UUID]) -> list[Account | None]:
        found = await service.get_accounts(session, keys)
        return [found.get(key) for key in keys]


class MembersOfAccount(Loader[UUID, Sequence[Member]]):
    """The members of each account, in the order in which they joined."""

    async def load_all(self, session: ReadSession, keys: Sequence[UUID]) -> list[Sequence[Member]]:
        found = await service.list_members(session, keys)
        return [found[key] for key in keys]


class AccountsOfUser(Loader[UUID, Sequence[Account]]):
    """The accounts that each user shares with the viewer."""

    async def load_all(self, session: ReadSession, keys: Sequence[UUID]) -> list[Sequence[Account]]:
        found = await service.list_accounts(session, keys)
        return [found[key] for key in keys]
