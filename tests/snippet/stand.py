"""A Proofgraph of a few lines: the snippet's files, a live door that remembers, and an ingest.

Real sockets and the real protocol, so that the snippet is tested as a browser runs it; what the
doors themselves do is tested elsewhere.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from router.pages.app import create_app

CSP = "default-src 'self'; connect-src 'self'"
SITE_KEY = "pk_test"
TAG = f'<script src="{{origin}}/snippet/proofgraph.js" data-site-key="{SITE_KEY}" async></script>'
PAGE = """<!doctype html><html lang="{lang}" {attributes}><head><title>Shop</title>{tags}</head>
<body><h1>Shop</h1><button id="buy">Buy</button><p>{filler}</p></body></html>"""

Json = dict[str, Any]


class Stand:
    """What the browser did, and levers for what the server does."""

    def __init__(self) -> None:
        self.origin = ""
        self.tags = TAG
        self.attributes = ""
        self.lang = "en"
        self.csp: str | None = CSP
        self.claims: list[Json] = []
        self.inits: list[Json] = []
        self.subscribed: list[Json] = []
        self.pongs = 0
        self.refuse_key = False
        self.batches: list[Json] = []
        self.batch_headers: list[dict[str, str]] = []
        self.event_statuses: list[int] = []
        """What the next requests to ingest are answered; 202 when there is none left."""
        self.graph: Callable[[Json, str | None], Json] = lambda request, token: {"data": None}
        """Answers queries and mutations: the request, the bearer token."""
        self.stream: list[Json] = []
        """What a subscription other than the claims' is sent, as `data`."""
        self._sockets: set[WebSocket] = set()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/product", self._page),
                Route("/graphql", self._graph, methods=["POST"]),
                WebSocketRoute("/graphql", self._live),
                Route("/v1/events", self._ingest, methods=["POST", "OPTIONS"]),
                Mount("/", create_app()),
            ]
        )

    @property
    def events(self) -> list[Json]:
        """The events received, in order, repeats included."""
        return [event for batch in self.batches for event in batch["events"]]

    def counts(self) -> dict[str, int]:
        """How many of each type, repeats of one id counted once."""
        types = {event["id"]: event["type"] for event in self.events}
        return {kind: list(types.values()).count(kind) for kind in sorted(set(types.values()))}

    async def publish(
        self, text: str, *, url: str | None = None, at: str, cursor: str = ""
    ) -> Json:
        """Say a claim to all who listen, and to those who ask later for what came after."""
        claim = {
            "id": str(uuid4()),
            "cursor": cursor or f"{len(self.claims) + 1}-0",
            "text": text,
            "url": url,
            "occurredAt": at,
        }
        self.claims.append(claim)
        for connected in list(self._sockets):
            await _send_claim(connected, claim)
        return claim

    async def say(self, message: Json) -> None:
        for connected in list(self._sockets):
            await connected.send_json(message)

    async def drop(self) -> None:
        """Close every connection, as a restart does."""
        for connected in list(self._sockets):
            self._sockets.discard(connected)
            await connected.close(1012)

    async def _page(self, request: Request) -> Response:
        page = PAGE.format(
            tags=self.tags.format(origin=self.origin),
            lang=self.lang,
            attributes=self.attributes,
            filler="word " * 900,
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": self.csp} if self.csp else {})

    async def _graph(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return JSONResponse(self.graph(await request.json(), token if scheme == "Bearer" else None))

    async def _live(self, websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="graphql-transport-ws")
        try:
            while True:
                await self._hear(websocket, await websocket.receive_json())
        except (WebSocketDisconnect, RuntimeError):  # the second when we closed it ourselves
            self._sockets.discard(websocket)

    async def _hear(self, websocket: WebSocket, message: Json) -> None:
        match message["type"]:
            case "connection_init":
                self.inits.append(message.get("payload") or {})
                if self.refuse_key:
                    await websocket.close(4403)
                else:
                    await websocket.send_json({"type": "connection_ack"})
            case "subscribe" if "liveNotifications" in message["payload"]["query"]:
                self.subscribed.append(message["payload"]["variables"])
                await self._replay(websocket, message)
            case "subscribe":
                self.subscribed.append(message["payload"]["variables"])
                for data in self.stream:
                    await _next(websocket, message["id"], data)
            case "pong":
                self.pongs += 1

    async def _replay(self, websocket: WebSocket, message: Json) -> None:
        variables = message["payload"]["variables"]
        after = variables.get("a") or variables.get("after")
        websocket.state.subscription = message["id"]
        if after:
            known = [claim["cursor"] for claim in self.claims]
            for claim in self.claims[known.index(after) + 1 :]:
                await _send_claim(websocket, claim)
        self._sockets.add(websocket)

    async def _ingest(self, request: Request) -> Response:
        body = await request.json()
        self.batches.append(body)
        self.batch_headers.append({**request.headers, "method": request.method})
        status = self.event_statuses.pop(0) if self.event_statuses else 202
        headers = {"Access-Control-Allow-Origin": "*"}
        if status != 202:
            return JSONResponse({"error": {"code": "INTERNAL"}}, status, headers)
        results = [{"id": e["id"], "status": "accepted", "reason": None} for e in body["events"]]
        return JSONResponse({"results": results}, status, headers)


async def _send_claim(websocket: WebSocket, claim: Json) -> None:
    await _next(websocket, websocket.state.subscription, {"liveNotifications": claim})


async def _next(websocket: WebSocket, subscription: str, data: Json) -> None:
    await websocket.send_json({"id": subscription, "type": "next", "payload": {"data": data}})


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # Ctrl-C is pytest's


@asynccontextmanager
async def serving(stand: Stand) -> AsyncIterator[Stand]:
    """Serve the stand on a free port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        stand.origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            stand.app(), log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=1
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield stand
        finally:
            await stand.drop()
            server.should_exit = True
            await task
