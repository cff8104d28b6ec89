"""From what went wrong to what the client is told."""

import asyncio
import logging
import random
from collections import Counter

from subgraphs.analytics.ingest import responses
from subgraphs.analytics.ingest.protocol import Request
from subgraphs.analytics.ingest.responses import Refusal
from subgraphs.kernel.retry import is_store_fault

log = logging.getLogger(__name__)

RETRY_SECONDS = 2
"""How long a client is asked to wait while a store is away."""

AGAIN = (
    "It is not known whether these events were taken. Send them again under the same ids: what was"
    " taken is answered as a duplicate, and nothing counts twice."
)

HELD_SECONDS = (0.25, 1.0)
"""How long who sends too much waits for the word that it was too much, at least and at most.
Whoever comes again at once is slowed down to that, and the others have the door's time; by chance
between the two, so that those who were refused together do not come again together."""

MAX_HELD = 10_000
"""Refusals held back at a time: some 20 MB. Beyond it they go at once."""

MAX_HELD_OF_ONE = MAX_HELD // 10
"""Of one site: the others' floods must find room as well."""

_held: set[asyncio.TimerHandle] = set()
_held_of: Counter[str] = Counter()
"""How many of them are of which site."""


def refuse(request: Request, error: Exception) -> None:
    """Answer a request that nobody can promise to have been taken."""
    refusal = _refusal_of(error)
    answer = refusal.encode(request.origin)
    site = refusal.too_much_of
    if site and len(_held) < MAX_HELD and _held_of[site] < MAX_HELD_OF_ONE:
        _hold(request, answer, site)
    else:
        reply(request, answer)


def _hold(request: Request, answer: bytes, site: str) -> None:
    """Keep the answer back, and nothing else: bodies and tracebacks of thousands are too much."""

    def let_go() -> None:
        _held.discard(handle)
        _held_of[site] -= 1
        if not _held_of[site]:
            del _held_of[site]
        reply(request, answer)

    request.let_go()
    seconds = random.uniform(*HELD_SECONDS)  # noqa: S311  (spreads, hides nothing)
    handle = asyncio.get_running_loop().call_later(seconds, let_go)
    _held.add(handle)
    _held_of[site] += 1


def reply(request: Request, answer: bytes) -> None:
    """Answer a request that may be a HEAD."""
    request.answer(responses.without_body(answer) if request.method == b"HEAD" else answer)


def _refusal_of(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if is_store_fault(error):
        # What was on its way into the stream when its time was over may be in it all the same.
        log.warning("a store is away, it is not known what was taken: %r", error)
        return Refusal(503, "UNAVAILABLE", AGAIN, {"retry-after": str(RETRY_SECONDS)})
    log.error("a request could not be answered", exc_info=error)
    return Refusal(500, "INTERNAL_SERVER_ERROR", f"Something broke; we were told. {AGAIN}")
