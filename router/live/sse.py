"""GraphQL over Server-Sent Events, in distinct connections mode: one request, one stream.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse

from router.live.documents import Refused
from router.live.feed import TooSlow
from router.live.service import Request, Service
from router.live.viewers import Caller, Unavailable

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 12
"""Proxies cut what stays silent; most wait for 30 s or more."""

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
    return StreamingResponse(
        _with_keep_alive(_events(service, caller, request)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _events(service: Service, caller: Caller, request: Request) -> AsyncIterator[bytes]:
    try:
        async with aclosing(service.results(caller, request)) as results:
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


async def _with_keep_alive(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A comment whenever nothing else was said for a while."""
    yield b":\n\n"  # the headers leave now, not with the first claim
    waiting: asyncio.Future[bytes] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([waiting], timeout=KEEP_ALIVE_SECONDS)
            if not done:
                yield b":\n\n"
                continue
            try:
                yield waiting.result()
            except StopAsyncIteration:
                return
            waiting = None
    finally:
        if waiting:
            waiting.cancel()


async def _read(http: HttpRequest) -> Request:
    try:
        if http.method == "GET":
            given = dict(http.query_params)
            for name in ("variables", "extensions"):
                if name in given:
                    given[name] = json.loads(given[name])
            return msgspec.convert(given, Request)
        body = b""
        async for chunk in http.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise _bad("The request is larger than 64 KiB.")
        return msgspec.json.decode(body, type=Request)
    except (ValueError, msgspec.MsgspecError) as error:
        raise _bad(f"Not a GraphQL request: {error}") from error


def _bad(message: str) -> Refused:
    return Refused.because(message, "BAD_USER_INPUT")


def _failed(refused: Refused) -> bytes:
    return _next(msgspec.json.encode({"errors": refused.errors}))


def _next(payload: bytes) -> bytes:
    return b"event: next\ndata: " + payload + b"\n\n"
