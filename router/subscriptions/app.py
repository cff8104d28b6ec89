"""The subscription gateway's process.

    uvicorn router.subscriptions.app:app --ws websockets-sansio --ws-per-message-deflate false

Per-message deflate would cost 250 KB per connection, for messages of a few hundred bytes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from router.subscriptions import sse, ws
from router.subscriptions.service import Service
from subgraphs.kernel import redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.health import add_health
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.redis import invalidation

_HTTP_TIMEOUT = 10.0
"""Seconds a request to authz or the router may take."""


def create_app() -> Starlette:
    """Returns the gateway: both transports at /graphql, and the health endpoints."""

    async def serve_websocket(socket: WebSocket) -> None:
        await ws.serve(socket, app.state.service)

    async def serve_sse(request: Request) -> Response:
        if "text/event-stream" not in request.headers.get("accept", ""):
            message = "Subscriptions only: send `Accept: text/event-stream`, or open a WebSocket."
            error = {"message": message, "extensions": {"code": "BAD_USER_INPUT"}}
            return JSONResponse({"errors": [error]}, 406)
        return await sse.serve(request, app.state.service)

    async def authz_is_ready() -> None:
        (await app.state.client.get(f"{settings().authz_url}/readyz")).raise_for_status()

    routes = [
        WebSocketRoute("/graphql", serve_websocket),
        Route("/graphql", serve_sse, methods=["GET", "POST"]),
    ]
    app = Starlette(routes=routes, lifespan=_lifespan)
    add_health(app, [authz_is_ready])
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    configure_logging()
    async with httpx.AsyncClient(timeout=_HTTP_TIMEOUT) as client:
        app.state.client = client
        app.state.service = Service(client)
        async with invalidation.subscribed(app.state.service.authz.invalidate):
            yield
        app.state.service.feeds.close()
    await redis.dispose()


app = create_app()
