"""Who is asking, by the same authz that the edge asks."""

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from router.subscriptions.documents import Refused
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import VIEWER_HEADER, Viewer, ViewerKind, ViewerVerifier
from subgraphs.kernel.redis.invalidation import Change

log = logging.getLogger(__name__)

VOUCH_SECONDS = 60
"""How often the credential of a connection is checked again."""

_CREDENTIALS = ("authorization", "x-proofgraph-site-key")

# What a header may carry. Anything else would break the request to the authz, and be in the log.
_SENDABLE = re.compile(r"(?! )[\x20-\x7e]{0,8192}(?<! )")

Scope = tuple[ViewerKind, UUID | None, tuple[UUID, ...]]


class Unavailable(ConnectionError):
    """Nobody can be told from anybody right now; it passes."""


class Caller:
    """Someone with a credential, and what the authz says of it."""

    def __init__(self, authz: "Authz", headers: Mapping[str, str]) -> None:
        self._authz = authz
        self._headers = headers
        self._may_have_changed = asyncio.Event()
        self.viewer: Viewer

    @property
    def scope(self) -> Scope:
        """Callers of one scope see the same."""
        return self.viewer.kind, self.viewer.id, self.viewer.account_ids

    async def sign(self, *, anew: bool = False) -> str:
        """A fresh signed viewer.

        Args:
            anew: have the authz use nothing that it remembers.

        Raises:
            Refused: the credential is not valid, or no longer.
        """
        caching = {"cache-control": "no-cache"} if anew else {}
        signed = await self._authz.ask({**self._headers, **caching})
        self.viewer = self._authz.verifier.verify({VIEWER_HEADER: signed})
        return signed

    async def until_revoked(self, every: float = VOUCH_SECONDS) -> Refused:
        """Wait until the credential is no longer good, or opens something else; answers why."""
        before = self.viewer
        self._authz.vouched.add(self)
        try:
            while self.viewer == before:
                changed = await self._changed(within=every)
                try:
                    await self.sign(anew=changed)
                except Refused as refused:
                    return refused
                except Unavailable as error:  # it vouched a moment ago
                    log.warning("could not check a credential again: %r", error)
        finally:
            self._authz.vouched.discard(self)
        return Refused.because("What you may see has changed; connect again.", "FORBIDDEN")

    def check_again(self) -> None:
        """Do not wait for the next turn."""
        self._may_have_changed.set()

    async def _changed(self, *, within: float) -> bool:
        """Whether a change was announced before the time was over."""
        try:
            async with asyncio.timeout(within):
                await self._may_have_changed.wait()
        except TimeoutError:
            return False
        self._may_have_changed.clear()
        return True


class Authz:
    """The edge authz, asked over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.vouched: set[Caller] = set()
        """Those whose connections are open as long as their credential is good."""
        self.verifier = ViewerVerifier(settings().viewer_verify_key)

    def invalidate(self, change: Change | None) -> None:
        """Check those again whom a change concerns; after a gap the next turn must do."""
        if change is not None:
            for caller in self.vouched:
                if change.id in (caller.viewer.id, caller.viewer.session_id):
                    caller.check_again()

    async def caller(self, headers: Mapping[str, str], init: Mapping[str, Any]) -> Caller:
        """Who sends these headers and this `connection_init` payload.

        Raises:
            Refused: the credential is not valid.
        """
        shown = {name: headers[name] for name in (*_CREDENTIALS, "origin") if name in headers}
        if isinstance(init.get("authorization"), str):
            shown["authorization"] = init["authorization"]
        if isinstance(init.get("siteKey"), str):
            shown["x-proofgraph-site-key"] = init["siteKey"]
        if not all(map(_SENDABLE.fullmatch, shown.values())):
            raise Refused.because("The credential is not valid.", "UNAUTHENTICATED")
        caller = Caller(self, shown)
        await caller.sign()
        return caller

    async def ask(self, headers: Mapping[str, str]) -> str:
        """The signed viewer of these credentials.

        Raises:
            Refused: they are not valid.
            Unavailable: the authz does not answer, or cannot tell.
        """
        try:
            answer = await self._client.get(f"{settings().authz_url}/check", headers=dict(headers))
        except httpx.HTTPError as error:
            raise Unavailable(repr(error)) from error
        if answer.status_code in (400, 401, 403):
            raise Refused(*answer.json()["errors"])
        if not answer.is_success:
            raise Unavailable(f"the authz answered {answer.status_code}")
        return answer.headers[VIEWER_HEADER]
