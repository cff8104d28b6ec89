"""The ASGI endpoint of one subgraph: plain JSON requests by the shortest way.

A POST with a JSON body, which is all that the router sends, takes a handful of calls from the
socket to the executor. Everything else (WebSockets, GET, other bodies, what is not valid JSON) goes
to Strawberry's own view, which has an answer for each.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.graphql import OperationType

from subgraphs.kernel.errors import BadUserInput, ProofgraphError
from subgraphs.kernel.graphql.context import Context
from subgraphs.kernel.graphql.schema import SubgraphSchema
from subgraphs.kernel.health import error_response
from subgraphs.kernel.identity.viewer import VIEWER_HEADER, ViewerVerifier

_VIEWER = VIEWER_HEADER.encode()
_ALLOWED = frozenset({OperationType.QUERY, OperationType.MUTATION})

Headers = Iterable[tuple[bytes, bytes]]


class GraphQLRequest(msgspec.Struct, rename="camel"):
    """The body of a GraphQL request."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None


class GraphQLEndpoint:
    """Serves a schema to verified viewers.

    Args:
        schema: the subgraph's schema.
        verifier: verifies the viewer before the request's body is read.
    """

    def __init__(self, schema: SubgraphSchema, verifier: ViewerVerifier) -> None:
        self._schema = schema
        self._verifier = verifier
        self._view = _View(schema, verifier)
        self._decode = msgspec.json.Decoder(GraphQLRequest).decode
        self._encode = msgspec.json.Encoder().encode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http" and scope["method"] == "POST":
                await self._post(scope, receive, send)
            else:
                # Before a WebSocket is accepted, and before a body is read.
                self._verifier.verify(HTTPConnection(scope).headers)
                await self._view(scope, receive, send)
        except ProofgraphError as error:
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).close()
            else:
                await error_response(error)(scope, receive, send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        viewer_token = content_type = b""
        for name, value in scope["headers"]:
            if name == _VIEWER:
                viewer_token = value
            elif name == b"content-type":
                content_type = value
        viewer = self._verifier.verify_token(viewer_token.decode("latin-1"))
        if not content_type.startswith(b"application/json"):
            await self._view(scope, receive, send)
            return
        body = await _read(receive)
        try:
            request = self._decode(body)
            result = await self._schema.execute(
                request.query,
                request.variables,
                Context(viewer),
                None,
                request.operation_name,
                _ALLOWED,
            )
        except InvalidOperationTypeError as error:
            raise BadUserInput(
                "Send subscriptions over a WebSocket, with the subprotocol graphql-transport-ws."
            ) from error
        except (msgspec.DecodeError, CannotGetOperationTypeError):
            await self._view(scope, _replay(body, receive), send)  # its response names the fault
            return
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        await _respond(send, self._encode(answer))


class _View(GraphQL[Context, None]):
    """Strawberry's view, with our context."""

    def __init__(self, schema: SubgraphSchema, verifier: ViewerVerifier) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=False,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
        )
        self._verifier = verifier

    async def get_context(self, request: HTTPConnection, response: Response | WebSocket) -> Context:
        return Context(self._verifier.verify(request.headers))


async def _read(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


async def _respond(send: Send, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
