"""The check service: any method, any path under /check.

200 with `x-proofgraph-viewer`, or why not in the shape GraphQL clients read: 400, 401, 403. 503
while PostgreSQL is away; a doubt never passes.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from router.authz.signatures import Signatures
from router.authz.viewers import Viewers
from subgraphs.kernel import db
from subgraphs.kernel.errors import ProofgraphError
from subgraphs.kernel.health import add_health, answer_error
from subgraphs.kernel.identity.viewer import NOBODY, VIEWER_HEADER, Viewer
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.redis.invalidation import Invalidate
from subgraphs.kernel.retry import is_store_fault

log = logging.getLogger(__name__)

LOOK_UP_SECONDS = 2.0
"""Envoy waits three; whoever waits longer than this is better told to come back."""


class Unavailable(ProofgraphError):
    """Nobody can be identified right now."""

    code = "UNAVAILABLE"
    http_status = 503


class Check:
    """One request, one answer. An ASGI app and no endpoint function, so that every method fits."""

    def __init__(self, viewers: Viewers, signatures: Signatures) -> None:
        self._viewers = viewers
        self._signatures = signatures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A browser asks before it sends: its preflight has no credential and needs none.
        preflight = scope["method"] == "OPTIONS"
        viewer = NOBODY if preflight else await self._identify(Headers(scope=scope))
        answer = Response(headers={VIEWER_HEADER: self._signatures.of(viewer)})
        await answer(scope, receive, send)

    async def _identify(self, headers: Headers) -> Viewer:
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return await self._viewers.identify(headers)
        except Exception as error:
            if not is_store_fault(error):
                raise
            log.warning("nobody can be identified: %r", error)
            raise Unavailable("Try again in a moment.") from error


def create_app(check: Check, *, invalidate: Invalidate) -> Starlette:
    """The service around a check: its paths, its health, its errors.

    Args:
        forget: is told of what changes, see `kernel/invalidation.py`.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        configure_logging()
        async with invalidation.subscribed(invalidate):
            yield
        await db.dispose()

    routes = [Route("/check", check), Route("/check/{path:path}", check)]
    app = Starlette(routes=routes, lifespan=lifespan)
    add_health(app, [_ready])
    app.add_exception_handler(ProofgraphError, answer_error)
    return app


async def _ready() -> None:
    await db.ping(worker=True)
