"""Site keys and ended sessions: one table, looked up by hash at the edge.

The domain that makes or revokes a credential writes it in its own transaction. Look-ups are cached
for `CACHE_SECONDS`, and dropped at once when a change is announced.
"""

import hashlib
import secrets
import time
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel import db
from subgraphs.kernel.identity.tenants import Tenant
from subgraphs.kernel.redis.invalidation import Change

CACHE_SECONDS = 5.0
"""How long a revoked credential may still pass where the announcement was lost; a look-up a request
would cost ten times more."""

_CACHE_ENTRIES = 50_000
"""Of keys that are somebody's, and as many of others."""

_LONGEST_KEY = 100
"""Characters; a key has 27. What is longer is not worth a look-up, nor a place in the cache."""


class CredentialKind(StrEnum):
    SITE_KEY = "site_key"
    ENDED_SESSION = "ended_session"


class Credential(db.Base):
    """A credential by the SHA-256 of its secret. The secret itself is not kept here."""

    __tablename__ = "credentials"

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    kind: Mapped[str]
    account_id: Mapped[UUID | None]
    site_id: Mapped[UUID | None]
    expires_at: Mapped[datetime | None]


class SiteAccess(msgspec.Struct, frozen=True):
    """What a site key opens."""

    site_id: UUID
    account_id: UUID
    domain: str
    events_per_second: int


class KeyLookup(NamedTuple):
    """The outcome of a look-up."""

    access: SiteAccess | None
    """None: nobody's key."""


_NOBODY = KeyLookup(None)


def new_site_key() -> str:
    """A public site key: it identifies a shop, it is not a secret."""
    return "pk_" + secrets.token_urlsafe(18)


def digest(secret: str) -> bytes:
    """The SHA-256 a credential is found by; of any text a client can send."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def remember_site_key(session: AsyncSession, *, key: str, site_id: UUID, account_id: UUID) -> None:
    session.add(
        Credential(
            hash=digest(key),
            kind=CredentialKind.SITE_KEY,
            site_id=site_id,
            account_id=account_id,
        )
    )


async def remember_ended_session(
    session: AsyncSession, *, session_id: UUID, expires_at: datetime
) -> None:
    """Refuse a session from now on; one that has ended already stays ended."""
    ended = insert(Credential).values(
        hash=digest(str(session_id)), kind=CredentialKind.ENDED_SESSION, expires_at=expires_at
    )
    await session.execute(ended.on_conflict_do_nothing())


async def site_of_key(session: AsyncSession, *, key: str) -> UUID | None:
    """The site a key opens, as far as the viewer may see it."""
    statement = select(Credential.site_id).where(
        Credential.hash == digest(key), Credential.kind == CredentialKind.SITE_KEY
    )
    return await session.scalar(statement)


class SiteKeys:
    """Site keys as a door sees them, with a small cache that also remembers misses.

    Misses are kept apart: whoever invents keys must not push out those that are somebody's.
    """

    def __init__(self) -> None:
        self._good: dict[str, tuple[float, KeyLookup]] = {}
        """Kept when their time is over: a key that was good is worth a look-up."""
        self._misses: dict[str, float] = {}
        self._changes = 0

    def peek(self, key: str) -> KeyLookup | None:
        """What is known without a look-up, if anything."""
        now = time.monotonic()
        until, found = self._good.get(key) or (self._misses.get(key, 0.0), _NOBODY)
        return found if until > now else None

    def was_good(self, key: str) -> bool:
        """Whether it was somebody's when it was last looked up."""
        return key in self._good

    async def find(self, key: str, *, fresh: bool = False) -> SiteAccess | None:
        """The site a key belongs to, or None; a `fresh` answer was looked up after this call."""
        if len(key) > _LONGEST_KEY:
            return None
        if not fresh and (found := self.peek(key)) is not None:
            return found.access
        now = time.monotonic()
        changes = self._changes
        access = await _find_site(key)
        if changes == self._changes:  # else this may be what was true before
            self._remember(key, access, now + CACHE_SECONDS)
        return access

    def invalidate(self, change: Change | None) -> None:
        """Look up anew what a change may concern."""
        if change is not None and change.kind != "site":
            return
        self._changes += 1
        self._misses.clear()
        for key, (_, found) in self._good.items():
            if change is None or (found.access and found.access.site_id == change.id):
                self._good[key] = (0.0, found)

    def _remember(self, key: str, access: SiteAccess | None, until: float) -> None:
        self._good.pop(key, None)
        self._misses.pop(key, None)
        if access is not None:
            if len(self._good) >= _CACHE_ENTRIES:
                del self._good[next(iter(self._good))]
            self._good[key] = (until, KeyLookup(access))
        else:
            if len(self._misses) >= _CACHE_ENTRIES:
                self._misses.clear()
            self._misses[key] = until


async def _find_site(key: str) -> SiteAccess | None:
    statement = (
        select(Tenant.site_id, Tenant.account_id, Tenant.domain, Tenant.events_per_second)
        .join(Credential, Credential.site_id == Tenant.site_id)
        .where(Credential.hash == digest(key), Credential.kind == CredentialKind.SITE_KEY)
    )
    async with db.service_transaction() as session:
        row = (await session.execute(statement)).one_or_none()
    return SiteAccess(*row) if row else None


async def session_ended(session_id: UUID) -> bool:
    """Whether a user logged this session out."""
    statement = select(Credential.kind).where(Credential.hash == digest(str(session_id)))
    async with db.service_transaction() as session:
        return await session.scalar(statement) is not None
