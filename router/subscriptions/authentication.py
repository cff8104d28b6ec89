"""Authenticates clients with the edge authz, the service that Envoy uses too."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import httpx
import structlog

from router.subscriptions.documents import RequestRejected
from router.subscriptions.ticker import Ticker
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

_Credential = tuple[tuple[str, str], ...]
"""The headers that authz is sent, sorted."""

_Key = tuple[_Credential, Viewer]

PrincipalScope = tuple[ViewerKind, UUID | None, tuple[UUID, ...]]


class Connection(Protocol):
    """An open connection of a principal."""

    def revoke(self, rejected: RequestRejected) -> None:
        """Ends the connection: its credential is no longer valid."""


class Principal:
    """An authenticated client: its credential, and the viewer that authz found for it.

    All connections with the same credential and viewer share one, and one revalidation.
    """

    def __init__(self, authz: "AuthzClient", credential: "_Credential", viewer: Viewer) -> None:
        self._authz = authz
        self._headers = dict(credential)
        self.key: _Key = (credential, viewer)
        self.viewer = viewer
        self._connections: set[Connection] = set()
        self._revalidation: asyncio.Task[None] | None = None
        self._has_changed = False
        """Whether a change was published that the running revalidation may not have seen."""

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
        if self._authz.verifier.verify({VIEWER_HEADER: signed}) != self.viewer:
            raise RequestRejected.with_code(
                "Your permissions have changed; connect again.", "FORBIDDEN"
            )
        return signed

    def attach(self, connection: Connection) -> None:
        """Ends this connection when the credential is revoked or gives other access."""
        if not self._connections:
            self._authz.add(self)
        self._connections.add(connection)

    def detach(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        if not self._connections:
            self._authz.remove(self)

    def on_tick(self) -> None:
        """Revalidates the credential."""
        if self._revalidation is None:
            self._revalidation = asyncio.create_task(self._revalidate())

    def revalidate_now(self) -> None:
        """Has the credential checked at once instead of at the next interval."""
        self._has_changed = True
        self.on_tick()

    async def _revalidate(self) -> None:
        try:
            while True:
                fresh, self._has_changed = self._has_changed, False
                try:
                    await self.sign(fresh=fresh)
                except Unavailable as error:  # the credential was valid at the last check
                    log.warning("credential_not_revalidated", error=repr(error))
                if not self._has_changed:
                    return
        except RequestRejected as rejected:
            for connection in tuple(self._connections):
                connection.revoke(rejected)
        finally:
            self._revalidation = None


class AuthzClient:
    """HTTP client of the edge authz."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._principals: dict[_Key, Principal] = {}
        """The principals of open connections, whose credentials must stay valid."""
        self._checks: dict[_Credential, _Check] = {}
        """The running checks of new connections. After a restart of the gateway thousands of
        visitors of one shop connect at once; one check serves all that wait for it."""
        self._revalidations = Ticker(lambda: REVALIDATE_SECONDS)
        self.verifier = ViewerVerifier(settings().viewer_verify_key)

    def close(self) -> None:
        """Stops the revalidations."""
        self._revalidations.stop()

    def add(self, principal: Principal) -> None:
        """Revalidates a principal from now on."""
        self._principals[principal.key] = principal
        self._revalidations.add(principal)

    def remove(self, principal: Principal) -> None:
        """Revalidates a principal no more."""
        if self._principals.get(principal.key) is principal:
            del self._principals[principal.key]
        self._revalidations.discard(principal)

    def invalidate(self, change: Change | None) -> None:
        """Revalidates the principals that a change concerns.

        None means that changes may have been missed. It revalidates nobody: to check all at once
        would overload authz, and the interval check follows within `REVALIDATE_SECONDS`.
        """
        if change is None:
            return
        for check in self._checks.values():
            check.changes.add(change.id)
        self._checks.clear()  # whoever comes now waits for a check that sees the change
        for principal in tuple(self._principals.values()):
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
        for name, value in init.items():
            if isinstance(value, str) and (header := _header_of(name)):
                sent[header] = value
        if not all(map(_HEADER_VALUE.fullmatch, sent.values())):
            message = "The credential is not valid: send up to 8192 characters of printable ASCII."
            raise RequestRejected.with_code(message, "UNAUTHENTICATED")
        credential = tuple(sorted(sent.items()))
        check = self._checks.get(credential)
        if check is None:
            check = self._checks[credential] = _Check()
            check.task = asyncio.create_task(self._run_check(credential, check))
        viewer = await asyncio.shield(check.task)
        principal = self._principals.get((credential, viewer))
        principal = principal or Principal(self, credential, viewer)
        if check.changes & {viewer.id, viewer.session_id}:
            principal.revalidate_now()
        return principal

    async def _run_check(self, credential: _Credential, check: "_Check") -> Viewer:
        try:
            return self.verifier.verify({VIEWER_HEADER: await self.check(dict(credential))})
        finally:
            if self._checks.get(credential) is check:
                del self._checks[credential]

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


@dataclass
class _Check:
    """A running check, and the ids of what changed since it began."""

    changes: set[UUID | None] = field(default_factory=set)
    task: "asyncio.Task[Viewer]" = field(init=False)


def _header_of(name: str) -> str | None:
    """Returns the header that a name in `connection_init` stands for, in any case and spelling."""
    match re.sub("[-_]", "", name).lower():
        case "authorization":
            return _AUTHORIZATION
        case "sitekey" | "xproofgraphsitekey":
            return _SITE_KEY
    return None
