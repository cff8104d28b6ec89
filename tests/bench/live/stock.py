"""The ordinary peer: a Strawberry subscription behind uvicorn, an asyncio queue per subscriber.

    uvicorn tests.bench.live.stock:app

POST /publish takes a JSON list of texts.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL

_queues: set[asyncio.Queue[str]] = set()


@strawberry.type
class Claim:
    text: str
    cursor: str


@strawberry.type
class Query:
    ready: bool = True


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def live_notifications(
        self, site_key: str, after: str | None = None
    ) -> AsyncIterator[Claim]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        _queues.add(queue)
        try:
            while True:
                yield Claim(text=await queue.get(), cursor="1764265000000-0")
        finally:
            _queues.discard(queue)


async def _publish(request: Request) -> Response:
    for text in await request.json():
        for queue in tuple(_queues):
            queue.put_nowait(text)
    return Response(status_code=202)


_graphql: Any = GraphQL(strawberry.Schema(query=Query, subscription=Subscription))

app = Starlette(
    routes=[
        Route("/publish", _publish, methods=["POST"]),
        Route("/graphql", _graphql),
        WebSocketRoute("/graphql", _graphql),
    ]
)
