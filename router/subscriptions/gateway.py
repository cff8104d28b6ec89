"""Routes the requests of one gateway: both transports at /graphql, and the health endpoints."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec
import structlog
from websockets.datastructures import Headers

from router.subscriptions import sse, ws
from router.subscriptions.client_connection import ClientConnection
from router.subscriptions.documents import RequestRejected
from router.subscriptions.http_connection import MAX_BODY, HttpConnection, HttpRequest
from router.subscriptions.responses import error_response, errors_response, text_response
from router.subscriptions.router_client import UNAVAILABLE_ERROR
from router.subscriptions.service import GraphQLRequest, Service
from router.subscriptions.sse import EventStream
from router.subscriptions.ticker import Ticker
from router.subscriptions.websocket_frames import accept
from router.subscriptions.ws import CloseConnection, WebSocketConnection
from subgraphs.kernel.config import settings
from subgraphs.kernel.errors import Unavailable

log = structlog.stdlib.get_logger(__name__)

_STATUS = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403}
_WRONG_SUBPROTOCOL = CloseConnection(
    4406, "Subprotocol not acceptable: offer graphql-transport-ws in Sec-WebSocket-Protocol"
)


class Gateway:
    """What the connections of one process share."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.service = Service(client)
        self._client = client
        self._pings = Ticker(lambda: ws.PING_SECONDS)
        self._keep_alive = Ticker(lambda: sse.KEEP_ALIVE_SECONDS)

    def new_connection(self) -> HttpConnection:
        """Returns the protocol of a new connection."""
        return HttpConnection(self._handle)

    @property
    def connections(self) -> list[ClientConnection]:
        """The open WebSockets and event streams."""
        tickers = (self._pings, self._keep_alive)
        return [item for ticker in tickers for item in ticker if isinstance(item, ClientConnection)]

    def close(self) -> None:
        """Stops the timers, and ends the feeds and the revalidations."""
        self._pings.stop()
        self._keep_alive.stop()
        self.service.close()

    def _handle(self, http: HttpConnection, request: HttpRequest) -> None:
        match request.path, request.method:
            case "/graphql", "GET" if request.is_upgrade:
                self._accept_websocket(http, request)
            case "/graphql", "GET" | "POST":
                http.task = asyncio.create_task(self._respond_sse(http, request))
            case "/healthz", "GET":
                http.respond(text_response(200, "ok"))
            case "/readyz", "GET":
                http.task = asyncio.create_task(self._respond_ready(http))
            case (("/graphql" | "/healthz" | "/readyz"), _):
                message = "This path takes GET and, for GraphQL, POST."
                http.respond(error_response(405, message, "BAD_USER_INPUT", Allow="GET, POST"))
            case _:
                http.respond(error_response(404, "No such path.", "NOT_FOUND"))

    def _accept_websocket(self, http: HttpConnection, request: HttpRequest) -> None:
        is_acceptable = False

        def select(offered: Sequence[str]) -> str | None:
            nonlocal is_acceptable
            is_acceptable = ws.PROTOCOL in offered
            if is_acceptable:
                return ws.PROTOCOL
            # A browser shows the reason of our close frame only if one of its offers is accepted.
            return offered[0] if offered else None

        response = accept(Headers(request.headers), select).serialize()
        if not response.startswith(b"HTTP/1.1 101"):
            http.respond(response, close=True)
            return
        rest = http.rest
        if (transport := http.hand_over()) is None:
            return
        transport.write(response)
        connection = WebSocketConnection(self.service, request.headers, self._pings)
        connection.connection_made(transport)
        transport.set_protocol(connection)
        transport.resume_reading()
        if not is_acceptable:
            connection.close(_WRONG_SUBPROTOCOL)
        elif rest:
            connection.data_received(rest)

    async def _respond_sse(self, http: HttpConnection, request: HttpRequest) -> None:
        try:
            if "text/event-stream" not in request.headers.get("accept", ""):
                message = (
                    "Subscriptions only: send `Accept: text/event-stream`, or open a WebSocket."
                )
                http.respond(error_response(406, message, "BAD_USER_INPUT"))
                return
            operation = _graphql_request(request)
            principal = await self.service.authz.authenticate(request.headers, {})
        except RequestRejected as rejected:
            code = rejected.errors[0].get("extensions", {}).get("code")
            http.respond(errors_response(_STATUS.get(code, 400), rejected.errors))
        except Unavailable as error:
            log.warning("authentication_unavailable", error=str(error))
            http.respond(errors_response(503, [UNAVAILABLE_ERROR], Retry_After="1"))
        else:
            if (transport := http.hand_over()) is not None:
                stream = EventStream(transport, principal, self._keep_alive)
                transport.resume_reading()
                is_get = request.method == "GET"
                stream.run(self.service, operation, subscriptions_only=is_get)
        finally:
            http.task = None

    async def _respond_ready(self, http: HttpConnection) -> None:
        try:
            answer = await self._client.get(f"{settings().authz_url}/readyz")
            answer.raise_for_status()
        except httpx.HTTPError as error:
            http.respond(text_response(503, f"{type(error).__name__} in {__name__}"))
        else:
            http.respond(text_response(200, "ok"))
        finally:
            http.task = None


def _graphql_request(http: HttpRequest) -> GraphQLRequest:
    try:
        if http.method == "GET":
            params: dict[str, Any] = dict(parse_qsl(http.query, keep_blank_values=True))
            for name in ("variables", "extensions"):
                if name in params:
                    params[name] = msgspec.json.decode(params[name])
            return msgspec.convert(params, GraphQLRequest)
        if len(http.body) > MAX_BODY:
            raise _bad_request("The request body must be at most 64 KiB.")
        return msgspec.json.decode(http.body, type=GraphQLRequest)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _bad_request(f"The body is not a GraphQL request: {error}") from error


def _bad_request(message: str) -> RequestRejected:
    return RequestRejected.with_code(message, "BAD_USER_INPUT")
