"""Authenticates requests: from a credential in the headers to a viewer.

A user costs at most two SQL statements, a site key one. A cached result costs none: it is valid for
`CACHE_SECONDS`, or until a change is published.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from starlette.datastructures import Headers

from router.authz.lookup_cache import LookupCache
from subgraphs.kernel import db
from subgraphs.kernel.errors import BadUserInput, Forbidden, Unauthenticated
from subgraphs.kernel.identity.credentials import CACHE_SECONDS, SiteKeys, session_ended
from subgraphs.kernel.identity.origins import origin_allowed
from subgraphs.kernel.identity.sessions import SessionClaims, SessionVerifier
from subgraphs.kernel.identity.tenants import memberships_of
from subgraphs.kernel.identity.viewer import NOBODY, Viewer, ViewerKind
from subgraphs.kernel.redis.invalidation import Change

AUTHORIZATION_HEADER = "authorization"
SITE_KEY_HEADER = "x-proofgraph-site-key"

_MAX_ENTRIES = 20_000


class _UserSession(NamedTuple):
    """A verified session token, and the session's state in the database."""

    viewer: Viewer | None
    """None once the session has ended."""
    expires_at: datetime


class Authenticator:
    """Finds the viewer of a credential.

    Args:
        sessions: verifies users' session tokens.
        allow_loopback: accept any site's key from pages of a loopback origin.
    """

    def __init__(self, sessions: SessionVerifier, *, allow_loopback: bool) -> None:
        self._sessions = sessions
        self._allow_loopback = allow_loopback
        self._site_keys = SiteKeys()
        self._user_sessions = LookupCache(
            self._load_user_session, ttl=CACHE_SECONDS, max_entries=_MAX_ENTRIES
        )

    async def authenticate(self, headers: Headers) -> Viewer:
        """Returns the viewer of a request's credential; `NOBODY` if it carries none.

        `cache-control: no-cache` bypasses the caches. The subscription gateway sends it when it
        receives a change before this process does; Envoy does not pass the header on.

        Raises:
            BadUserInput: the request carries more than one credential.
            Unauthenticated: the credential is not valid, or no longer.
            Forbidden: the site key belongs to another origin.
        """
        credentials = [
            (name, value)
            for name in (AUTHORIZATION_HEADER, SITE_KEY_HEADER)
            for value in headers.getlist(name)
            if value
        ]
        if not credentials:
            return NOBODY
        if len(credentials) > 1:
            raise BadUserInput(f"Send one credential: `Authorization` or `{SITE_KEY_HEADER}`.")
        (name, value), *_ = credentials
        fresh = headers.get("cache-control") == "no-cache"
        if name == SITE_KEY_HEADER:
            return await self._site_viewer(value, headers.get("origin", ""), fresh=fresh)
        return await self._user_viewer(value, fresh=fresh)

    def known_viewer(self, headers: Iterable[tuple[bytes, bytes]]) -> Viewer | None:
        """The viewer that `authenticate` would find in the caches; None for all other cases.

        Errors are among the other cases: `authenticate` raises them.
        """
        authorization = site_key = origin = b""
        for name, value in headers:
            if name == b"authorization":
                if authorization:
                    return None
                authorization = value
            elif name == b"x-proofgraph-site-key":
                if site_key:
                    return None
                site_key = value
            elif name == b"origin":
                origin = value
            elif name == b"cache-control":
                return None
        if authorization and site_key:
            return None
        if authorization:
            return self._known_user(authorization.decode("latin-1"))
        if site_key:
            return self._known_site(site_key.decode("latin-1"), origin.decode("latin-1"))
        return NOBODY

    def invalidate(self, change: Change | None) -> None:
        """Drops the cached results that a change concerns; None drops all."""
        self._site_keys.invalidate(change)
        self._user_sessions.invalidate(
            lambda cached: (
                change is None
                or bool(cached.viewer and change.id in (cached.viewer.id, cached.viewer.session_id))
            )
        )

    async def _user_viewer(self, authorization: str, *, fresh: bool) -> Viewer:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("Send the session token as `Authorization: Bearer <token>`.")
        session = await self._user_sessions.get(token.strip(), fresh=fresh)
        if session.viewer is None or session.expires_at <= datetime.now(UTC):
            raise Unauthenticated("This session has ended; log in again.")
        return session.viewer

    def _known_user(self, authorization: str) -> Viewer | None:
        scheme, _, token = authorization.partition(" ")
        session = self._user_sessions.peek(token.strip()) if scheme.lower() == "bearer" else None
        if session is None or session.expires_at <= datetime.now(UTC):
            return None
        return session.viewer

    def _known_site(self, key: str, origin: str) -> Viewer | None:
        found = self._site_keys.peek(key)
        site = found.access if found else None
        if site is None:
            return None
        if not origin_allowed(origin, site.domain, allow_loopback=self._allow_loopback):
            return None
        return Viewer(ViewerKind.SITE, site.site_id, (site.account_id,))

    async def _site_viewer(self, key: str, origin: str, *, fresh: bool) -> Viewer:
        site = await self._site_keys.find(key, fresh=fresh)
        if site is None:
            raise Unauthenticated(
                "This site key does not exist; copy the key from the site's settings."
            )
        if not origin_allowed(origin, site.domain, allow_loopback=self._allow_loopback):
            raise Forbidden(
                "This site key does not belong to the page's origin; use it on its site's domain."
            )
        return Viewer(ViewerKind.SITE, site.site_id, (site.account_id,))

    async def _load_user_session(self, token: str) -> _UserSession:
        claims = self._sessions.verify(token)
        ended = await session_ended(claims.session_id)
        return _UserSession(None if ended else await _viewer_of(claims), claims.expires_at)


async def _viewer_of(claims: SessionClaims) -> Viewer:
    async with db.service_transaction() as session:
        memberships = await memberships_of(session, user_id=claims.user_id)
    return Viewer(
        ViewerKind.USER,
        claims.user_id,
        memberships.account_ids,
        memberships.read_only_ids,
        claims.session_id,
    )
