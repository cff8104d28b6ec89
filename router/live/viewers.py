"""Who is asking, by the same authz that the edge asks."""

from collections.abc import Mapping
from typing import Any

import httpx

from router.live.documents import Refused
from subgraphs.kernel.auth import VIEWER_HEADER, Viewer, ViewerVerifier
from subgraphs.kernel.config import settings

_CREDENTIALS = ("authorization", "x-proofgraph-site-key")


class Caller:
    """Someone with a credential, and what the authz says of it."""

    def __init__(self, authz: "Authz", headers: Mapping[str, str]) -> None:
        self._authz = authz
        self._headers = headers
        self.viewer: Viewer

    @property
    def scope(self) -> list[str]:
        """Callers of one scope see the same."""
        return [self.viewer.kind, str(self.viewer.id)]

    async def sign(self) -> str:
        """A fresh signed viewer.

        Raises:
            Refused: the credential is not valid, or no longer.
        """
        signed = await self._authz.ask(self._headers)
        self.viewer = self._authz.verifier.verify({VIEWER_HEADER: signed})
        return signed


class Authz:
    """The edge authz, asked over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.verifier = ViewerVerifier(settings().viewer_verify_key)

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
        caller = Caller(self, shown)
        await caller.sign()
        return caller

    async def ask(self, headers: Mapping[str, str]) -> str:
        answer = await self._client.get(f"{settings().authz_url}/check", headers=dict(headers))
        if answer.status_code in (400, 401, 403):
            raise Refused(*answer.json()["errors"])
        answer.raise_for_status()
        return answer.headers[VIEWER_HEADER]
