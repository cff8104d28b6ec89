"""Authenticates clients with the edge authz, the service that Envoy uses too."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx
import structlog

from router.subscriptions.documents import RequestRejected
from subgraphs.kernel.config import settings
from subgraphs.kernel.errors import Unavailable
from subgraphs.kernel.identity.viewer import VIEWER_HEADER, Viewer, ViewerKind, ViewerVerifier
from subgraphs.kernel.redis.invalidation import Change

log = structlog.stdlib.get_logger(__name__)

REVALIDATE_SECONDS = 60
"""How often a connection's credential is checked again."""

_AUTHORIZATION, _SITE_KEY = "authorization", "x-proofgraph-site-key"

_HEADER_VALUE = re.compile(r"(?! )[\x20-\x7e]{0,8192}(?<! )")
"""Values that an HTTP header can carry. Others would break the request to authz, and the error
would write the credential to the log."""

PrincipalScope = tuple[ViewerKind, UUID | None, tuple[UUID, ...]]


class Principal:
    """An authenticated client: its credential, and the viewer that authz found for it."""

    def __init__(self, authz: "AuthzClient", headers: Mapping[str, str]) -> None:
        self._authz = authz
        self._headers = headers
        self._may_have_changed = asyncio.Event()
        self.viewer: Viewer

    @property
    def scope(self) -> PrincipalScope:
        """What decides which results a principal may see; principals of one scope share feeds."""
        return self.viewer.kind, self.viewer.id, self.viewer.account_ids

    async def sign(self, *, fresh: bool = False) -> str:
        """Checks the credential and returns a newly signed viewer.

        Args:
            fresh: have authz bypass its caches.

        Raises:
            RequestRejected: the credential is not valid, or no longer.
            Unavailable: authz does not answer, or cannot check it.
        """
        caching = {"cache-control": "no-cache"} if fresh else {}
        signed = await self._authz.check({**self._headers, **caching})
        self.viewer = self._authz.verifier.verify({VIEWER_HEADER: signed})
        return signed

    async def until_revoked(self, every: float = REVALIDATE_SECONDS) -> RequestRejected:
        """Waits until the credential is revoked or gives other access; returns the reason."""
        before = self.viewer
        self._authz.revalidated.add(self)
        try:
            while self.viewer == before:
                changed = await self._change_within(every)
                try:
                    await self.sign(fresh=changed)
                except RequestRejected as rejected:
                    return rejected
                except Unavailable as error:  # the credential was valid at the last check
                    log.warning("credential_not_revalidated", error=repr(error))
        finally:
            self._authz.revalidated.discard(self)
        return RequestRejected.with_code(
            "Your permissions have changed; connect again.", "FORBIDDEN"
        )

    def revalidate_now(self) -> None:
        """Has the credential checked at once instead of at the next interval."""
        self._may_have_changed.set()

    async def _change_within(self, seconds: float) -> bool:
        """Returns whether a change was published before the time was over."""
        try:
            async with asyncio.timeout(seconds):
                await self._may_have_changed.wait()
        except TimeoutError:
            return False
        self._may_have_changed.clear()
        return True


class AuthzClient:
    """HTTP client of the edge authz."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.revalidated: set[Principal] = set()
        """Principals of open connections, whose credentials must stay valid."""
        self.verifier = ViewerVerifier(settings().viewer_verify_key)

    def invalidate(self, change: Change | None) -> None:
        """Revalidates the principals that a change concerns.

        None means that changes may have been missed. It revalidates nobody: to check all at once
        would overload authz, and the interval check follows within `REVALIDATE_SECONDS`.
        """
        if change is not None:
            for principal in self.revalidated:
                if change.id in (principal.viewer.id, principal.viewer.session_id):
                    principal.revalidate_now()

    async def authenticate(self, headers: Mapping[str, str], init: Mapping[str, Any]) -> Principal:
        """Returns the principal of a client's headers and `connection_init` payload.

        Raises:
            RequestRejected: the credential is not valid.
            Unavailable: authz does not answer, or cannot check it.
        """
        sent = {
            name: headers[name] for name in (_AUTHORIZATION, _SITE_KEY, "origin") if name in headers
        }
        if isinstance(init.get("authorization"), str):
            sent[_AUTHORIZATION] = init["authorization"]
        if isinstance(init.get("siteKey"), str):
            sent[_SITE_KEY] = init["siteKey"]
        if not all(map(_HEADER_VALUE.fullmatch, sent.values())):
            message = "The credential is not valid: send up to 8192 characters of printable ASCII."
            raise RequestRejected.with_code(message, "UNAUTHENTICATED")
        principal = Principal(self, sent)
        await principal.sign()
        return principal

    async def check(self, headers: Mapping[str, str]) -> str:
        """Returns the signed viewer of the credential in these headers.

        Raises:
            RequestRejected: the credential is not valid.
            Unavailable: authz does not answer, or cannot check it.
        """
        try:
            response = await self._client.get(
                f"{settings().authz_url}/check", headers=dict(headers)
            )
        except httpx.HTTPError as error:
            raise Unavailable(f"authz does not answer: {error!r}") from error
        if response.status_code in (400, 401, 403):
            raise RequestRejected(*response.json()["errors"])
        if not response.is_success:
            raise Unavailable(f"authz answered {response.status_code}")
        return response.headers[VIEWER_HEADER]
