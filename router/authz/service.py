"""The check service: any method, any path under /check.

Returns 200 with `x-proofgraph-viewer`, or a GraphQL error with status 400, 401 or 403. While
PostgreSQL is unavailable it returns 503: a credential that cannot be checked is never accepted.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from router.authz.authenticator import Authenticator
from router.authz.signed_viewers import SignedViewers
from subgraphs.kernel import db
from subgraphs.kernel.errors import ProofgraphError, Unavailable
from subgraphs.kernel.health import add_health, answer_error
from subgraphs.kernel.identity.viewer import NOBODY, VIEWER_HEADER, Viewer
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.redis.invalidation import Invalidate
from subgraphs.kernel.retry import is_store_fault

log = structlog.stdlib.get_logger(__name__)

LOOKUP_TIMEOUT = 2.0
"""Seconds. Envoy waits three, so the client gets this service's error and not Envoy's."""


class CheckEndpoint:
    """Checks one request. An ASGI app rather than an endpoint function: it serves every method."""

    def __init__(self, authenticator: Authenticator, signed_viewers: SignedViewers) -> None:
        self._authenticator = authenticator
        self._signed_viewers = signed_viewers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A CORS preflight carries no credential and needs none.
        preflight = scope["method"] == "OPTIONS"
        viewer = NOBODY if preflight else await self._authenticate(Headers(scope=scope))
        response = Response(headers={VIEWER_HEADER: self._signed_viewers.token_for(viewer)})
        await response(scope, receive, send)

    def known_token(self, method: bytes, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """The signed viewer of a request, if no store needs to be read for it; None otherwise."""
        if method == b"OPTIONS":
            viewer: Viewer | None = NOBODY
        else:
            viewer = self._authenticator.known_viewer(headers)
        return None if viewer is None else self._signed_viewers.token_for(viewer)

    async def _authenticate(self, headers: Headers) -> Viewer:
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                return await self._authenticator.authenticate(headers)
        except Exception as error:
            if not is_store_fault(error):
                raise
            log.warning("authentication_unavailable", error=repr(error))
            message = "The credential cannot be checked now; send the request again in a second."
            raise Unavailable(message) from error


def create_app(check: CheckEndpoint, *, invalidate: Invalidate) -> Starlette:
    """Returns the service: the check endpoint, health endpoints, error responses.

    Args:
        invalidate: called for every published change, see `kernel/redis/invalidation.py`.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        configure_logging()
        async with invalidation.subscribed(invalidate):
            yield
        await db.dispose()

    routes = [Route("/check", check), Route("/check/{path:path}", check)]
    app = Starlette(routes=routes, lifespan=lifespan)
    add_health(app, [_postgresql_responds])
    app.add_exception_handler(ProofgraphError, answer_error)
    return app


async def _postgresql_responds() -> None:
    await db.ping(worker=True)
