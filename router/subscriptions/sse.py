"""GraphQL over Server-Sent Events, in distinct connections mode: one request, one stream.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
import structlog
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Send

from router.subscriptions.authentication import REVALIDATE_SECONDS, Principal
from router.subscriptions.documents import RequestRejected
from router.subscriptions.feed import SlowSubscriber
from router.subscriptions.service import UNAVAILABLE_ERROR, GraphQLRequest, Service
from subgraphs.kernel import cancellation
from subgraphs.kernel.errors import Unavailable

log = structlog.stdlib.get_logger(__name__)

KEEP_ALIVE_SECONDS = 12
"""A comment is sent after so long without events: proxies cut idle streams, most after 30 s."""

STALL_SECONDS = 15
"""How long one send may block before the stream is ended."""

MAX_BODY = 64 * 1024

_STATUS = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403}
_COMPLETE = b"event: complete\ndata: \n\n"


async def serve(http: HttpRequest, service: Service) -> Response:
    """Returns one operation's results as an event stream, or an error response."""
    try:
        request = await _read_request(http)
        principal = await service.authz.authenticate(http.headers, {})
    except RequestRejected as rejected:
        code = rejected.errors[0].get("extensions", {}).get("code")
        return JSONResponse({"errors": rejected.errors}, _STATUS.get(code, 400))
    except Unavailable as error:
        log.warning("authentication_unavailable", error=str(error))
        return JSONResponse({"errors": [UNAVAILABLE_ERROR]}, 503, {"Retry-After": "1"})
    events = _events(service, principal, request, subscriptions_only=http.method == "GET")
    return _EventStreamResponse(
        _with_keep_alive(events, principal),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


class _EventStreamResponse(StreamingResponse):
    """A stream that ends when a send blocks for `STALL_SECONDS`."""

    async def stream_response(self, send: Send) -> None:
        async def send_with_timeout(message: Message) -> None:
            async with asyncio.timeout(STALL_SECONDS):
                await send(message)

        try:
            await super().stream_response(send_with_timeout)
        except TimeoutError:
            log.info("event_stream_ended", reason="slow_client")


async def _events(
    service: Service, principal: Principal, request: GraphQLRequest, *, subscriptions_only: bool
) -> AsyncIterator[bytes]:
    try:
        results = service.execute(principal, request, subscriptions_only=subscriptions_only)
        async with aclosing(results) as batches:
            async for payloads in batches:
                yield b"".join(_next(payload) for payload in payloads)
    except RequestRejected as rejected:
        yield _errors(rejected)
    except SlowSubscriber:
        message = "Too slow: subscribe again with your last cursor as `after`."
        yield _errors(RequestRejected.with_code(message, "TOO_SLOW"))
    except Exception:
        log.exception("event_stream_operation_failed")
        yield _errors(RequestRejected.with_code("Something went wrong on our side.", "INTERNAL"))
    yield _COMPLETE


async def _with_keep_alive(
    events: AsyncIterator[bytes], principal: Principal
) -> AsyncIterator[bytes]:
    """Yields the events, and comments while idle, until the credential is revoked."""
    yield b":\n\n"  # sends the response headers now, not with the first claim
    revoked = asyncio.create_task(principal.until_revoked(REVALIDATE_SECONDS))
    waiting: asyncio.Task[bytes] | None = None
    try:
        while not revoked.done():
            waiting = waiting or asyncio.ensure_future(anext(events))
            both: list[asyncio.Future[Any]] = [waiting, revoked]
            done, _ = await asyncio.wait(
                both, timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                yield b":\n\n"
            if waiting.done():
                yield waiting.result()
                waiting = None
        yield _errors(revoked.result()) + _COMPLETE
    except StopAsyncIteration:
        return
    finally:
        # Shielded: Starlette cancels a task group again and again until it has ended.
        await asyncio.shield(cancellation.cancel_and_wait(revoked, *([waiting] if waiting else [])))


async def _read_request(http: HttpRequest) -> GraphQLRequest:
    try:
        if http.method == "GET":
            params: dict[str, Any] = dict(http.query_params)
            for name in ("variables", "extensions"):
                if name in params:
                    params[name] = msgspec.json.decode(params[name])
            return msgspec.convert(params, GraphQLRequest)
        body = b""
        async for chunk in http.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise _bad_request("The request body must be at most 64 KiB.")
        return msgspec.json.decode(body, type=GraphQLRequest)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _bad_request(f"The body is not a GraphQL request: {error}") from error


def _bad_request(message: str) -> RequestRejected:
    return RequestRejected.with_code(message, "BAD_USER_INPUT")


def _errors(rejected: RequestRejected) -> bytes:
    return _next(msgspec.json.encode({"errors": rejected.errors}))


def _next(payload: bytes) -> bytes:
    return b"event: next\ndata: " + payload + b"\n\n"
