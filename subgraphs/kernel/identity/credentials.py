"""Site keys and ended sessions: one table, looked up by hash at the edge.

The domain that creates or revokes a credential writes it in its own transaction. Look-ups are
cached for `CACHE_SECONDS`; a published change invalidates them at once.
"""

import hashlib
import secrets
import time
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec
from cachetools import FIFOCache
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel import db
from subgraphs.kernel.identity.tenants import Tenant
from subgraphs.kernel.redis.invalidation import Change

CACHE_SECONDS = 5.0
"""How long a revoked credential may still be accepted if the invalidation was lost. A look-up for
every request would cost ten times more."""

_CACHE_ENTRIES = 50_000
"""Valid keys, and as many invalid ones."""

_LONGEST_KEY = 100
"""Characters; a key has 27. Longer keys are rejected without a look-up or a cache entry."""


class CredentialKind(StrEnum):
    SITE_KEY = "site_key"
    ENDED_SESSION = "ended_session"


class Credential(db.Base):
    """A credential, stored as the SHA-256 of its secret; the secret itself is not stored."""

    __tablename__ = "credentials"

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    kind: Mapped[str]
    account_id: Mapped[UUID | None]
    site_id: Mapped[UUID | None]
    expires_at: Mapped[datetime | None]


class SiteAccess(msgspec.Struct, frozen=True):
    """The site that a site key belongs to, and its limit."""

    site_id: UUID
    account_id: UUID
    domain: str
    events_per_second: int


class KeyLookup(NamedTuple):
    """The cached result of a look-up."""

    access: SiteAccess | None
    """None: the key belongs to no site."""


_UNKNOWN = KeyLookup(None)


def new_site_key() -> str:
    """A new site key. It is public: it identifies a shop and proves nothing."""
    return "pk_" + secrets.token_urlsafe(18)


def digest(secret: str) -> bytes:
    """The SHA-256 that a credential is stored under; accepts any text, lone surrogates included."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def store_site_key(session: AsyncSession, *, key: str, site_id: UUID, account_id: UUID) -> None:
    """Store a site's key with the session's transaction."""
    session.add(
        Credential(
            hash=digest(key),
            kind=CredentialKind.SITE_KEY,
            site_id=site_id,
            account_id=account_id,
        )
    )


async def store_ended_session(
    session: AsyncSession, *, session_id: UUID, expires_at: datetime
) -> None:
    """Reject a session from now on; ending it again changes nothing."""
    ended = insert(Credential).values(
        hash=digest(str(session_id)), kind=CredentialKind.ENDED_SESSION, expires_at=expires_at
    )
    await session.execute(ended.on_conflict_do_nothing())


async def site_of_key(session: AsyncSession, *, key: str) -> UUID | None:
    """The site of a key, or None if the viewer may not see it."""
    statement = select(Credential.site_id).where(
        Credential.hash == digest(key), Credential.kind == CredentialKind.SITE_KEY
    )
    return await session.scalar(statement)


class SiteKeys:
    """Looks up site keys, with a cache of hits and one of misses.

    The caches are apart so that a client that invents keys cannot evict valid ones.
    """

    def __init__(self) -> None:
        self._good: FIFOCache[str, tuple[float, KeyLookup]] = FIFOCache(_CACHE_ENTRIES)
        """When each entry expires, and the entry. Expired entries stay: see `was_good`."""
        self._misses: FIFOCache[str, float] = FIFOCache(_CACHE_ENTRIES)
        self._changes = 0

    def peek(self, key: str) -> KeyLookup | None:
        """The cached result of a key; None if it must be looked up."""
        now = time.monotonic()
        until, found = self._good.get(key) or (self._misses.get(key, 0.0), _UNKNOWN)
        return found if until > now else None

    def was_good(self, key: str) -> bool:
        """Whether the key belonged to a site at its last look-up.

        Such a key is worth a look-up even while a client invents many keys.
        """
        return key in self._good

    async def find(self, key: str, *, fresh: bool = False) -> SiteAccess | None:
        """The site of a key, or None.

        Args:
            fresh: skip the cache, as a caller does that may know of a change earlier.
        """
        if len(key) > _LONGEST_KEY:
            return None
        if not fresh and (found := self.peek(key)) is not None:
            return found.access
        now = time.monotonic()
        changes = self._changes
        access = await _find_site(key)
        if changes == self._changes:  # otherwise the row may be from before the change
            self._cache(key, access, now + CACHE_SECONDS)
        return access

    def invalidate(self, change: Change | None) -> None:
        """Drop the entries that a change may concern; None drops all."""
        if change is not None and change.kind != "site":
            return
        self._changes += 1
        self._misses.clear()
        for key, (_, found) in list(self._good.items()):
            if change is None or (found.access and found.access.site_id == change.id):
                self._good[key] = (0.0, found)

    def _cache(self, key: str, access: SiteAccess | None, until: float) -> None:
        self._good.pop(key, None)
        self._misses.pop(key, None)
        if access is not None:
            self._good[key] = (until, KeyLookup(access))
        else:
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
    """Whether the session was ended by logging out."""
    statement = select(Credential.kind).where(Credential.hash == digest(str(session_id)))
    async with db.service_transaction() as session:
        return await session.scalar(statement) is not None
