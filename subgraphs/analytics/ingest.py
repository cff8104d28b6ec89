"""The snippet's door: POST /v1/events.

    {"siteKey": "pk_…", "events": [{"id": "<uuid>", "type": "shown", "claimId": "<uuid>",
      "occurredAt": "2026-01-02T03:04:05Z", "visitorId": "…", "page": "/shoes"}]}

202 says for each event whether it was accepted, was a duplicate, or was refused and why; what it
calls accepted is on disk. A plain ASGI app: a framework would cost more than the work itself.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from subgraphs.analytics.snippet_events import MAX_EVENTS, Refused, judge, read_request
from subgraphs.kernel import db, event_streams, telemetry
from subgraphs.kernel.config import settings
from subgraphs.kernel.credentials import SiteAccess, SiteKeys
from subgraphs.kernel.events import EVENTS_TOPIC, Event, encode
from subgraphs.kernel.faults import is_store_fault
from subgraphs.kernel.group_commit import GroupCommit
from subgraphs.kernel.origins import origin_allowed
from subgraphs.kernel.streams import Record

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024
"""Bytes; a hundred events of the snippet fit with room to spare."""

STORE_SECONDS = 2.0
"""How long the store may take to answer: a visitor's page can send again, it need not wait."""

RETRY_AFTER = b"2"
"""Seconds a client is asked to wait while a store is away."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"86400"),
]
_encode = msgspec.json.Encoder().encode


class Result(msgspec.Struct, frozen=True):
    """What became of one event."""

    id: str | None
    status: str
    reason: str | None = None


class Refusal(Exception):
    """A request that is not taken, and the answer to it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = _encode({"error": {"code": code, "message": message}})


class Door:
    """The ASGI app."""

    def __init__(self) -> None:
        self._site_keys = SiteKeys()
        self._streams = event_streams.connect(seconds=STORE_SECONDS)
        self._commit = GroupCommit(self._streams, EVENTS_TOPIC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status, headers, body = await self._answer(scope, receive)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        telemetry.configure()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await db.dispose()
        await send({"type": "lifespan.shutdown.complete"})

    async def close(self) -> None:
        """Let go of the store."""
        await self._streams.close()

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
        method, path = scope["method"], scope["path"]
        if path == "/healthz":
            return 200, [], b"ok"
        if path == "/readyz":
            return await self._readiness()
        headers = dict(scope["headers"])
        cors = _cors(headers.get(b"origin"))
        if path != "/v1/events":
            refusal = Refusal(404, "NOT_FOUND", "There is nothing here; post to /v1/events.")
            return refusal.status, [*cors, _JSON], refusal.body
        if method == "OPTIONS":
            return 204, [*cors, *_PREFLIGHT], b""
        try:
            if method != "POST":
                raise Refusal(405, "BAD_USER_INPUT", "Only POST is understood here.")
            results = await self._take(headers, receive)
            return 202, [*cors, _JSON], _encode({"results": results})
        except Refusal as refusal:
            if refusal.status == 503:
                cors.append((b"retry-after", RETRY_AFTER))
            return refusal.status, [*cors, _JSON], refusal.body

    async def _take(self, headers: dict[bytes, bytes], receive: Receive) -> list[Result]:
        body = await _read(headers, receive)
        try:
            request = read_request(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"The body must be JSON with siteKey and at most {MAX_EVENTS} events: {error}"
            raise Refusal(400, "BAD_USER_INPUT", message) from error
        try:
            site = _admitted(await self._site_keys.find(request.site_key), headers)
            now = datetime.now(UTC)
            return await self._append([judge(raw, site=site, now=now) for raw in request.events])
        except Exception as error:
            if not is_store_fault(error):
                raise
            log.warning("a store is away, nothing was taken: %r", error)
            message = "Nothing was taken; send the same events again."
            raise Refusal(503, "UNAVAILABLE", message) from error

    async def _append(self, judged: Sequence[Event | Refused]) -> list[Result]:
        records = [
            Record(str(event.site_id), str(event.id), encode(event))
            for event in judged
            if isinstance(event, Event)
        ]
        new = iter(await self._commit.append_once(records) if records else [])
        return [
            Result(item.id, "refused", item.reason)
            if isinstance(item, Refused)
            else Result(str(item.id), "accepted" if next(new) else "duplicate")
            for item in judged
        ]

    async def _readiness(self) -> tuple[int, Headers, bytes]:
        try:
            await self._streams.ping()
            await db.ping(worker=True)
        except Exception as error:  # whatever a driver raises means "not now"
            return 503, [], repr(error).encode()
        return 200, [], b"ok"


def _cors(origin: bytes | None) -> Headers:
    """Any page may read the answer; whether its events are taken, the site's domain decides."""
    if origin is None:
        return []
    return [(b"access-control-allow-origin", origin), (b"vary", b"origin")]


async def _read(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """The body, given up as soon as it is too long, whatever its length was said to be."""
    too_long = Refusal(413, "BAD_USER_INPUT", f"A body may have {MAX_BODY} bytes.")
    if int(headers.get(b"content-length", b"0")) > MAX_BODY:
        raise too_long
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            raise too_long
    return body


def _admitted(site: SiteAccess | None, headers: dict[bytes, bytes]) -> SiteAccess:
    """The site, if its key is one and the page that sends may use it."""
    if site is None:
        raise Refusal(401, "UNAUTHENTICATED", "This site key is not known.")
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin_allowed(origin, site.domain, allow_loopback=settings().allow_loopback_origins):
        raise Refusal(403, "FORBIDDEN", "This site key belongs to another origin.")
    return site


app = Door()
