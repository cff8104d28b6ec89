"""From a request's credentials to its viewer.

Two statements at most for a user who was not here lately, one for a site key, none for anyone who
was: what is looked up is good for `CACHE_SECONDS`, or until a change is announced.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from starlette.datastructures import Headers

from router.authz.cache import Cache
from subgraphs.kernel import db
from subgraphs.kernel.errors import BadUserInput, Forbidden, Unauthenticated
from subgraphs.kernel.identity.credentials import CACHE_SECONDS, SiteKeys, session_ended
from subgraphs.kernel.identity.origins import origin_allowed
from subgraphs.kernel.identity.sessions import SessionClaims, SessionVerifier
from subgraphs.kernel.identity.tenants import memberships_of
from subgraphs.kernel.identity.viewer import NOBODY, Viewer, ViewerKind
from subgraphs.kernel.redis.invalidation import Change

SITE_KEY_HEADER = "x-proofgraph-site-key"

_ENTRIES = 20_000


class _Known(NamedTuple):
    """A token that was verified and its session looked up."""

    viewer: Viewer | None
    """None once the session has ended."""
    expires_at: datetime


class Viewers:
    """Knows viewers by their credentials.

    Args:
        sessions: reads users' tokens.
        allow_loopback: let pages of this machine use any site's key.
    """

    def __init__(self, sessions: SessionVerifier, *, allow_loopback: bool) -> None:
        self._sessions = sessions
        self._allow_loopback = allow_loopback
        self._site_keys = SiteKeys()
        self._users = Cache(self._find_user, seconds=CACHE_SECONDS, entries=_ENTRIES)

    async def identify(self, headers: Headers) -> Viewer:
        """Who sends these headers; nobody, if they show no credential.

        With `cache-control: no-cache` nothing remembered is used: the live door asks so when it has
        heard of a change before we have. Envoy does not pass that header on.

        Raises:
            BadUserInput: more than one credential, so that it is not clear who is asking.
            Unauthenticated: a credential that is not valid, or no longer.
            Forbidden: a site key on a page of another site.
        """
        shown = [
            (name, value)
            for name in ("authorization", SITE_KEY_HEADER)
            for value in headers.getlist(name)
            if value
        ]
        if not shown:
            return NOBODY
        if len(shown) > 1:
            raise BadUserInput("Send one credential: a session token or a site key.")
        (name, value), *_ = shown
        fresh = headers.get("cache-control") == "no-cache"
        if name == SITE_KEY_HEADER:
            return await self._site(value, headers.get("origin", ""), fresh=fresh)
        return await self._user(value, fresh=fresh)

    def invalidate(self, change: Change | None) -> None:
        """Look up anew whom a change concerns."""
        self._site_keys.invalidate(change)
        self._users.invalidate(
            lambda known: (
                change is None
                or bool(known.viewer and change.id in (known.viewer.id, known.viewer.session_id))
            )
        )

    async def _user(self, authorization: str, *, fresh: bool) -> Viewer:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("Send the session token as `Authorization: Bearer <token>`.")
        known = await self._users.get(token.strip(), fresh=fresh)
        if known.viewer is None or known.expires_at <= datetime.now(UTC):
            raise Unauthenticated("This session has ended; log in again.")
        return known.viewer

    async def _site(self, key: str, origin: str, *, fresh: bool) -> Viewer:
        site = await self._site_keys.find(key, fresh=fresh)
        if site is None:
            raise Unauthenticated("This site key is not known.")
        if not origin_allowed(origin, site.domain, allow_loopback=self._allow_loopback):
            raise Forbidden("This site key belongs to another origin.")
        return Viewer(ViewerKind.SITE, site.site_id, (site.account_id,))

    async def _find_user(self, token: str) -> _Known:
        claims = self._sessions.verify(token)
        ended = await session_ended(claims.session_id)
        return _Known(None if ended else await _viewer_of(claims), claims.expires_at)


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
