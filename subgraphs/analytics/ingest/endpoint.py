"""The way of one request through the door.

What needs no waiting (everything but a new site key and the append itself) happens at once, in the
call that brought the request's last byte.
"""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import httptools
import msgspec

from subgraphs.analytics.ingest import bots, responses
from subgraphs.analytics.ingest.admission import Admission, Guest
from subgraphs.analytics.ingest.backlog import Backlog
from subgraphs.analytics.ingest.event_parsing import MAX_EVENTS, Sender, judge, read_request
from subgraphs.analytics.ingest.event_parsing import Request as Sent
from subgraphs.analytics.ingest.group_commit import GroupCommit
from subgraphs.analytics.ingest.pending_append import Taking
from subgraphs.analytics.ingest.protocol import Request
from subgraphs.analytics.ingest.refusals import refuse, reply
from subgraphs.analytics.ingest.responses import Refusal
from subgraphs.kernel import cancellation, db
from subgraphs.kernel.redis.invalidation import Change
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, LEDGER_GROUP
from subgraphs.kernel.streams.interface import partition_of

log = logging.getLogger(__name__)

STORE_SECONDS = 2.0
"""How long the store may take to answer: a visitor's page can send again, it need not wait."""

_PATH = b"/v1/events"

_COUNTRY_LENGTH = 3
"""Letters looked at: a country has two, and what has more is none."""


class _Moment(NamedTuple):
    time: datetime
    seconds: float
    """Of the loop's clock, which never jumps."""


class Door:
    """Answers requests; to be made within the loop that serves them."""

    def __init__(self) -> None:
        self._streams = event_streams.connect(seconds=STORE_SECONDS)
        self._commit = GroupCommit(self._streams, EVENTS_TOPIC, seconds=STORE_SECONDS)
        self._backlog = Backlog(partition_of)
        self._loop = asyncio.get_running_loop()
        self._moment: _Moment | None = None
        self._admission = Admission(self._backlog)
        self._tasks: set[asyncio.Task[None]] = set()
        self._start(self._backlog.watch(self._waiting))

    def invalidate(self, change: Change | None) -> None:
        """Look a site up anew whose key or limits have changed."""
        self._admission.invalidate(change)

    async def close(self) -> None:
        """Let go of the stores."""
        await cancellation.cancel_and_wait(*self._tasks)
        await self._streams.close()
        await db.dispose()

    def handle(self, request: Request) -> None:
        """Answer a request, now or later."""
        try:
            if request.target == _PATH and request.method == b"POST":
                self._take(request)
            else:
                self._answer_other(request)
        except Exception as error:
            refuse(request, error)

    def _take(self, request: Request) -> None:
        sent = _read(request.body)
        guest = self._admission.known(sent.site_key)
        if guest is not None:
            self._append(request, sent, guest)
        else:
            self._start(self._take_later(request, sent))

    async def _take_later(self, request: Request, sent: Sent) -> None:
        try:
            self._append(request, sent, await self._admission.find(sent.site_key))
        except Exception as error:
            refuse(request, error)

    def _append(self, request: Request, sent: Sent, guest: Guest) -> None:
        moment = self._moment or self._look_at_the_clock()
        self._admission.admit(guest, request.origin, len(sent.events), moment.seconds)
        sender, now = _sender_of(request), moment.time
        judged = [judge(it, site=guest.access, sender=sender, now=now) for it in sent.events]
        request.let_go()
        taking = Taking(request, guest, judged, moment.seconds)
        if taking.records:
            self._commit.append_once(taking)
        else:
            taking.appended(())

    def _answer_other(self, request: Request) -> None:
        path = _path_of(request)
        if path == b"/healthz":
            reply(request, responses.encode(200, b"ok"))
        elif path == b"/readyz":
            self._start(self._answer_readiness(request))
        elif path != _PATH:
            raise Refusal(404, "NOT_FOUND", "There is nothing here; post to /v1/events.")
        elif request.method == b"OPTIONS":
            reply(request, responses.preflight(request.origin))
        elif request.method == b"POST":  # the address was written another way
            self._take(request)
        else:
            raise Refusal(405, "BAD_USER_INPUT", "Only POST is understood here.")

    async def _answer_readiness(self, request: Request) -> None:
        try:
            await self._streams.ping()
            await db.ping(worker=True)
        except Exception as error:  # whatever a driver raises means "not now"
            reply(request, responses.encode(503, repr(error).encode()))
        else:
            reply(request, responses.encode(200, b"ok"))

    async def _waiting(self) -> list[int]:
        lags = await self._streams.lags(EVENTS_TOPIC, LEDGER_GROUP)
        return [lag.waiting + lag.pending for lag in lags]

    def _look_at_the_clock(self) -> "_Moment":
        """The time, for all requests of this turn of the loop."""
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # the stores keep no more
        self._moment = _Moment(now, self._loop.time())
        self._loop.call_soon(self._forget_the_time)
        return self._moment

    def _forget_the_time(self) -> None:
        self._moment = None

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _read(body: bytes | bytearray) -> Sent:
    try:
        return read_request(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"The body must be JSON with siteKey and at most {MAX_EVENTS} events: {error}"
        raise Refusal(400, "BAD_USER_INPUT", message) from error


def _path_of(request: Request) -> bytes | None:
    try:
        path: bytes | None = httptools.parse_url(request.target).path
    except httptools.HttpParserInvalidURLError as error:
        raise Refusal(400, "BAD_USER_INPUT", "This is no address of ours.") from error
    return path


def _sender_of(request: Request) -> Sender:
    """What is remembered is cut to what is looked at: a header may be as long as a head."""
    return _sender(request.agent[: bots.LONGEST_AGENT], request.country[:_COUNTRY_LENGTH])


@lru_cache(maxsize=10_000)
def _sender(user_agent: bytes, country: bytes) -> Sender:
    agent = user_agent.decode("latin-1")
    is_country = len(country) == 2 and country.isalpha()
    return Sender(
        device=bots.device_of(agent),
        bot=bots.rule_of(agent),
        country=country.decode("latin-1").upper() if is_country else None,
    )
