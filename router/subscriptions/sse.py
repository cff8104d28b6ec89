"""GraphQL over Server-Sent Events, in distinct connections mode: one request, one stream.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Send

from router.subscriptions.authentication import VOUCH_SECONDS, Caller, Unavailable
from router.subscriptions.documents import Refused
from router.subscriptions.feed import TooSlow
from router.subscriptions.service import Request, Service
from subgraphs.kernel import cancellation

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 12
"""Proxies cut what stays silent; most wait for 30 s or more."""

STALL_SECONDS = 15
"""A reader whose connection takes nothing for so long does not read."""

MAX_BODY = 64 * 1024

_STATUS = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403}
_COMPLETE = b"event: complete\ndata: \n\n"


async def serve(http: HttpRequest, service: Service) -> Response:
    """One operation's results as a stream."""
    try:
        request = await _read(http)
        caller = await service.authz.caller(http.headers, {})
    except Refused as refused:
        code = refused.errors[0].get("extensions", {}).get("code")
        return JSONResponse({"errors": refused.errors}, _STATUS.get(code, 400))
    except Unavailable:
        errors = Refused.because("Try again in a moment.", "UNAVAILABLE").errors
        return JSONResponse({"errors": errors}, 503, {"Retry-After": "1"})
    events = _events(service, caller, request, only_live=http.method == "GET")
    return _TimelyResponse(
        _kept_alive(events, caller),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


class _TimelyResponse(StreamingResponse):
    """A stream that ends when its reader takes nothing for a while."""

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(STALL_SECONDS):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            log.info("a stream was not read, and is ended")


async def _events(
    service: Service, caller: Caller, request: Request, *, only_live: bool
) -> AsyncIterator[bytes]:
    try:
        async with aclosing(service.results(caller, request, only_live=only_live)) as results:
            async for payloads in results:
                yield b"".join(_next(payload) for payload in payloads)
    except Refused as refused:
        yield _failed(refused)
    except TooSlow:
        yield _failed(Refused.because("Too slow: resume with your last cursor.", "TOO_SLOW"))
    except Exception:
        log.exception("an operation broke")
        yield _failed(Refused.because("Something went wrong on our side.", "INTERNAL"))
    yield _COMPLETE


async def _kept_alive(events: AsyncIterator[bytes], caller: Caller) -> AsyncIterator[bytes]:
    """A comment whenever nothing else was said for a while, as long as the caller may listen."""
    yield b":\n\n"  # the headers leave now, not with the first claim
    revoked = asyncio.create_task(caller.until_revoked(VOUCH_SECONDS))
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
        yield _failed(revoked.result()) + _COMPLETE
    except StopAsyncIteration:
        return
    finally:
        # Shielded: Starlette cancels whatever still waits, over and over.
        await asyncio.shield(cancellation.cancel_and_wait(revoked, *([waiting] if waiting else [])))


async def _read(http: HttpRequest) -> Request:
    try:
        if http.method == "GET":
            given = dict(http.query_params)
            for name in ("variables", "extensions"):
                if name in given:
                    given[name] = msgspec.json.decode(given[name])
            return msgspec.convert(given, Request)
        body = b""
        async for chunk in http.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise _bad("The request is larger than 64 KiB.")
        return msgspec.json.decode(body, type=Request)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _bad(f"Not a GraphQL request: {error}") from error


def _bad(message: str) -> Refused:
    return Refused.because(message, "BAD_USER_INPUT")


def _failed(refused: Refused) -> bytes:
    return _next(msgspec.json.encode({"errors": refused.errors}))


def _next(payload: bytes) -> bytes:
    return b"event: next\ndata: " + payload + b"\n\n"
