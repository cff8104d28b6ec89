"""The responses of the webhook receiver, as ASGI messages."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.status import HTTP_404_NOT_FOUND
from starlette.types import Message, Send

from subgraphs.kernel.errors import BadUserInput, ProofgraphError, Unavailable

RETRY_AFTER_SECONDS = 30
"""The `Retry-After` of a 503. Shopify has its own schedule; other senders respect the header."""


class TooLarge(BadUserInput):
    http_status = 413


class NotJson(BadUserInput):
    http_status = 422


def _messages(status: int, content: object, *headers: tuple[bytes, bytes]) -> tuple[Message, ...]:
    body = msgspec.json.encode(content)
    all_headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    return (
        {"type": "http.response.start", "status": status, "headers": all_headers},
        {"type": "http.response.body", "body": body},
    )


_RECEIVED = _messages(200, {"status": "received"})
_DUPLICATE = _messages(200, {"status": "duplicate"})


async def respond(send: Send, *, is_new: bool) -> None:
    """Answer 200: the webhook is stored."""
    for message in _RECEIVED if is_new else _DUPLICATE:
        await send(message)


async def respond_error(send: Send, error: ProofgraphError) -> None:
    """Answer with an expected error; UNAVAILABLE says when to send again."""
    content = _content(error.code, error.message)
    headers = []
    if isinstance(error, Unavailable):
        headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
    for message in _messages(error.http_status, content, *headers):
        await send(message)


def not_found_app(
    path: str, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]]
) -> Starlette:
    """The app of all other requests: 404 for other paths, 405 for other methods on `path`."""

    async def post(_request: Request) -> Response:
        raise HTTPException(HTTP_404_NOT_FOUND)

    return Starlette(
        routes=[Route(f"{path}{{integration_id}}", post, methods=["POST"])],
        lifespan=lifespan,
        exception_handlers={HTTPException: _respond_to_routing},
    )


async def _respond_to_routing(_request: Request, error: Exception) -> Response:
    """Answer an unknown path, or a method other than POST."""
    if not isinstance(error, HTTPException):
        raise error
    code = "NOT_FOUND" if error.status_code == HTTP_404_NOT_FOUND else "BAD_USER_INPUT"
    return JSONResponse(_content(code, error.detail), error.status_code, error.headers)


def _content(code: str, message: str) -> dict[str, dict[str, str]]:
    return {"error": {"code": code, "message": message}}
