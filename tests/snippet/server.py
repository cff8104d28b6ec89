"""A small server for tests in the browser: the built pages, `/graphql` and the ingest endpoint.

It speaks the real protocols over real sockets, so that the snippet runs as in a shop. The real
subscription gateway and the real ingest endpoint have tests of their own.
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


class Server:
    """Records what the browser sent. Attributes set what the server answers."""

    def __init__(self) -> None:
        self.origin = ""
        self.tags = TAG
        """The script tags of the shop's page, with `{origin}` for this server."""
        self.attributes = ""
        """Attributes of the page's `html` element."""
        self.lang = "en"
        self.csp: str | None = CSP
        self.claims: list[Json] = []
        """The published claims, oldest first."""
        self.inits: list[Json] = []
        """The payloads of `connection_init`."""
        self.subscribed: list[Json] = []
        """The variables of each subscription."""
        self.pongs = 0
        self.refuse_key = False
        """Whether to close each new connection with 4403 (Forbidden)."""
        self.stopped = False
        """Whether to close each new connection at once, as a stopped server does."""
        self.batches: list[Json] = []
        """The bodies sent to the ingest endpoint."""
        self.batch_headers: list[dict[str, str]] = []
        self.event_statuses: list[int] = []
        """The statuses of the next answers of the ingest endpoint; afterwards it answers 202."""
        self.answer_graphql: Callable[[Json, str | None], Json] = lambda body, token: {"data": None}
        """Returns the response to a query or mutation: takes the body and the bearer token."""
        self.activity: list[Json] = []
        """The results (`data`) of every subscription other than `liveNotifications`."""
        self.demo_site_key: str | None = None
        """The site key of the demo shop; `None` for a deployment, which has no demo."""
        self.demo_error: str | None = None
        """The error message of `POST /demo/order`; `None` if it succeeds."""
        self.demo_orders = 0
        self._connections: set[WebSocket] = set()
        self._claim_subscribers: set[WebSocket] = set()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/product", self._page),
                Route("/graphql", self._graphql, methods=["POST"]),
                WebSocketRoute("/graphql", self._subscriptions),
                Route("/v1/events", self._ingest, methods=["POST", "OPTIONS"]),
                Route("/demo/status", self._demo_status),
                Route("/demo/order", self._demo_order, methods=["POST"]),
                Mount("/", create_app()),
            ]
        )

    @property
    def events(self) -> list[Json]:
        """The received events in order, repeated ones included."""
        return [event for batch in self.batches for event in batch["events"]]

    def counts(self) -> dict[str, int]:
        """The number of events by type; a repeated ID counts once."""
        types = {event["id"]: event["type"] for event in self.events}
        return {kind: list(types.values()).count(kind) for kind in sorted(set(types.values()))}

    async def publish(
        self, text: str, *, url: str | None = None, at: str, cursor: str = ""
    ) -> Json:
        """Send a claim to all subscribers. Later ones with an older cursor receive it as well."""
        claim = {
            "id": str(uuid4()),
            "cursor": cursor or f"{len(self.claims) + 1}-0",
            "text": text,
            "url": url,
            "occurredAt": at,
        }
        self.claims.append(claim)
        for connected in list(self._claim_subscribers):
            await _send_claim(connected, claim)
        return claim

    async def send(self, message: Json) -> None:
        """Send a message to all subscribers of `liveNotifications`."""
        for connected in list(self._claim_subscribers):
            await connected.send_json(message)

    async def disconnect_all(self) -> None:
        """Close every connection, as a restart of the server does."""
        for connected in list(self._connections):
            self._forget(connected)
            await connected.close(1012)

    async def _page(self, request: Request) -> Response:
        page = PAGE.format(
            tags=self.tags.format(origin=self.origin),
            lang=self.lang,
            attributes=self.attributes,
            filler="word " * 900,
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": self.csp} if self.csp else {})

    async def _graphql(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return JSONResponse(
            self.answer_graphql(await request.json(), token if scheme == "Bearer" else None)
        )

    async def _subscriptions(self, websocket: WebSocket) -> None:
        if self.stopped:
            await websocket.close()  # before the handshake: the browser sees no connection
            return
        await websocket.accept(subprotocol="graphql-transport-ws")
        self._connections.add(websocket)
        try:
            while True:
                await self._handle(websocket, await websocket.receive_json())
        except (WebSocketDisconnect, RuntimeError):  # RuntimeError: this server has closed it
            self._forget(websocket)

    def _forget(self, websocket: WebSocket) -> None:
        self._connections.discard(websocket)
        self._claim_subscribers.discard(websocket)

    async def _handle(self, websocket: WebSocket, message: Json) -> None:
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
                for data in self.activity:
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
        self._claim_subscribers.add(websocket)

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

    async def _demo_status(self, request: Request) -> Response:
        if self.demo_site_key is None:
            return Response(status_code=404)
        return JSONResponse({"demo": {"siteKey": self.demo_site_key}})

    async def _demo_order(self, request: Request) -> Response:
        self.demo_orders += 1
        if self.demo_error:
            return JSONResponse({"error": {"code": "CONFLICT", "message": self.demo_error}}, 409)
        return JSONResponse({"orderId": f"order-{self.demo_orders}"}, 202)


async def _send_claim(websocket: WebSocket, claim: Json) -> None:
    await _next(websocket, websocket.state.subscription, {"liveNotifications": claim})


async def _next(websocket: WebSocket, subscription: str, data: Json) -> None:
    await websocket.send_json({"id": subscription, "type": "next", "payload": {"data": data}})


class _UvicornServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # pytest handles Ctrl-C


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """Run the server on a free port of the loopback interface."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server.origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            server.app(), log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=1
        )
        uvicorn_server = _UvicornServer(config)
        task = asyncio.create_task(uvicorn_server.serve(sockets=[listener]))
        try:
            yield server
        finally:
            await server.disconnect_all()
            uvicorn_server.should_exit = True
            await task
