"""The live door as a process.

    uvicorn router.subscriptions.app:app --ws websockets-sansio --ws-per-message-deflate false

Per-message deflate would cost a quarter of a megabyte a connection for messages of a few hundred
bytes.
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

_TIMEOUT = 10.0


def create_app() -> Starlette:
    """The door at /graphql."""

    async def over_websocket(socket: WebSocket) -> None:
        await ws.serve(socket, app.state.service)

    async def over_sse(request: Request) -> Response:
        if "text/event-stream" not in request.headers.get("accept", ""):
            message = "Subscriptions only: send Accept: text/event-stream, or a WebSocket."
            error = {"message": message, "extensions": {"code": "BAD_USER_INPUT"}}
            return JSONResponse({"errors": [error]}, 406)
        return await sse.serve(request, app.state.service)

    async def authz_answers() -> None:
        (await app.state.client.get(f"{settings().authz_url}/readyz")).raise_for_status()

    routes = [
        WebSocketRoute("/graphql", over_websocket),
        Route("/graphql", over_sse, methods=["GET", "POST"]),
    ]
    app = Starlette(routes=routes, lifespan=_lifespan)
    add_health(app, [authz_answers])
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    configure_logging()
    async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
        app.state.client = client
        app.state.service = Service(client)
        async with invalidation.subscribed(app.state.service.authz.invalidate):
            yield
        app.state.service.hub.close()
    await redis.dispose()


app = create_app()
