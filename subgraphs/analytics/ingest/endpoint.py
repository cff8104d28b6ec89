"""The way of one request through the ingest endpoint.

Only a new site key and the append itself need a store. Everything else happens synchronously, in
the call that received the request's last byte.
"""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import httptools
import msgspec

from subgraphs.analytics.ingest import bots, responses
from subgraphs.analytics.ingest.admission import Admission, SiteClient
from subgraphs.analytics.ingest.event_parsing import (
    MAX_EVENTS,
    IngestRequest,
    Sender,
    parse_request,
    to_stream_event,
)
from subgraphs.analytics.ingest.group_commit import GroupCommit
from subgraphs.analytics.ingest.http_request import HttpRequest
from subgraphs.analytics.ingest.pending_append import PendingAppend
from subgraphs.analytics.ingest.refusals import refuse, reply
from subgraphs.analytics.ingest.responses import Refusal
from subgraphs.kernel import cancellation, db
from subgraphs.kernel.backlog import Backlog
from subgraphs.kernel.redis.invalidation import Change
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, LEDGER_GROUP
from subgraphs.kernel.streams.interface import partition_of

STORE_SECONDS = 2.0
"""How long the store may take to answer; the snippet sends again, so it need not wait longer."""

FULL = 200_000
"""Entries of one partition: some ten seconds of a worker's time. With all partitions full, the
store needs less than 2 GB of memory."""

_PATH = b"/v1/events"

_COUNTRY_LENGTH = 3
"""Letters that are examined: a country has two, and a longer value is none."""


class _Now(NamedTuple):
    time: datetime
    seconds: float
    """Of the loop's clock, which is monotonic."""


class IngestEndpoint:
    """Answers requests; create it within the event loop that serves them."""

    def __init__(self) -> None:
        self._streams = event_streams.connect(seconds=STORE_SECONDS)
        self._commit = GroupCommit(self._streams, EVENTS_TOPIC, seconds=STORE_SECONDS)
        self._backlog = Backlog(partition_of, full=FULL)
        self._loop = asyncio.get_running_loop()
        self._now: _Now | None = None
        self._admission = Admission(self._backlog)
        self._tasks: set[asyncio.Task[None]] = set()
        self._start(self._backlog.watch(self._waiting_entries))

    def invalidate(self, change: Change | None) -> None:
        """Look up a site again whose key or limits have changed."""
        self._admission.invalidate(change)

    async def close(self) -> None:
        """Cancel the running tasks and disconnect from the stores."""
        await cancellation.cancel_and_wait(*self._tasks)
        await self._streams.close()
        await db.dispose()

    def handle(self, request: HttpRequest) -> None:
        """Answer a request, now or later."""
        try:
            if request.target == _PATH and request.method == b"POST":
                self._ingest(request)
            else:
                self._answer_other(request)
        except Exception as error:
            refuse(request, error)

    def _ingest(self, request: HttpRequest) -> None:
        parsed = _parse(request.body)
        client = self._admission.cached(parsed.site_key)
        if client is not None:
            self._append(request, parsed, client)
        else:
            self._start(self._ingest_after_look_up(request, parsed))

    async def _ingest_after_look_up(self, request: HttpRequest, parsed: IngestRequest) -> None:
        try:
            self._append(request, parsed, await self._admission.find(parsed.site_key))
        except Exception as error:
            refuse(request, error)

    def _append(self, request: HttpRequest, parsed: IngestRequest, client: SiteClient) -> None:
        now = self._now or self._read_clock()
        self._admission.admit(client, request.origin, len(parsed.events), now.seconds)
        sender, time = _sender_of(request), now.time
        events = [
            to_stream_event(event, site=client.access, sender=sender, now=time)
            for event in parsed.events
        ]
        request.release_input()
        append = PendingAppend(request, client, events, now.seconds)
        if append.records:
            self._commit.append_once(append)
        else:
            append.complete(())

    def _answer_other(self, request: HttpRequest) -> None:
        path = _path_of(request)
        if path == b"/healthz":
            reply(request, responses.encode(200, b"ok"))
        elif path == b"/readyz":
            self._start(self._answer_readiness(request))
        elif path != _PATH:
            raise Refusal(404, "NOT_FOUND", "This path does not exist; post to /v1/events.")
        elif request.method == b"OPTIONS":
            reply(request, responses.preflight(request.origin))
        elif request.method == b"POST":  # the same path in another spelling
            self._ingest(request)
        else:
            raise Refusal(405, "BAD_USER_INPUT", "This method is not allowed; use POST.")

    async def _answer_readiness(self, request: HttpRequest) -> None:
        try:
            await self._streams.ping()
            await db.ping(worker=True)
        except Exception as error:  # any error of a driver means "not ready"
            reply(request, responses.encode(503, repr(error).encode()))
        else:
            reply(request, responses.encode(200, b"ok"))

    async def _waiting_entries(self) -> list[int]:
        lags = await self._streams.lags(EVENTS_TOPIC, LEDGER_GROUP)
        return [lag.waiting + lag.pending for lag in lags]

    def _read_clock(self) -> _Now:
        """The time, read once per turn of the event loop."""
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # the stores' precision
        self._now = _Now(now, self._loop.time())
        self._loop.call_soon(self._reset_clock)
        return self._now

    def _reset_clock(self) -> None:
        self._now = None

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _parse(body: bytes | bytearray) -> IngestRequest:
    try:
        return parse_request(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"The body must be JSON with siteKey and at most {MAX_EVENTS} events: {error}"
        raise Refusal(400, "BAD_USER_INPUT", message) from error


def _path_of(request: HttpRequest) -> bytes | None:
    try:
        path: bytes | None = httptools.parse_url(request.target).path
    except httptools.HttpParserInvalidURLError as error:
        message = "The request's address is not a valid URL; post to /v1/events."
        raise Refusal(400, "BAD_USER_INPUT", message) from error
    return path


def _sender_of(request: HttpRequest) -> Sender:
    """The sender by its headers. They may be long and are cached, so only a part is examined."""
    return _sender(request.agent[: bots.MAX_AGENT], request.country[:_COUNTRY_LENGTH])


@lru_cache(maxsize=10_000)
def _sender(user_agent: bytes, country: bytes) -> Sender:
    agent = user_agent.decode("latin-1")
    is_country = len(country) == 2 and country.isalpha()
    return Sender(
        device=bots.device_of(agent),
        bot=bots.rule_of(agent),
        country=country.decode("latin-1").upper() if is_country else None,
    )
