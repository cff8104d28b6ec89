"""Turns errors into responses, and delays those of rate-limited clients."""

import asyncio
import random
from collections import Counter

import structlog

from subgraphs.analytics.ingest import responses
from subgraphs.analytics.ingest.http_request import HttpRequest
from subgraphs.analytics.ingest.responses import Refusal
from subgraphs.kernel.retry import is_store_fault

log = structlog.stdlib.get_logger(__name__)

RETRY_SECONDS = 2
"""The `retry-after` while a store is unavailable."""

SEND_AGAIN = (
    "The events may or may not be stored. Send them again with the same ids: stored events are"
    " answered as duplicates and count once."
)

DELAY_SECONDS = (0.25, 1.0)
"""Shortest and longest delay of a rate-limited client's refusal. A client that retries at once is
slowed down to it, and the endpoint has time for the others. The delay is random so that clients
refused together do not retry together."""

MAX_DELAYED = 10_000
"""Delayed refusals at a time: some 20 MB. Further refusals are sent at once."""

MAX_DELAYED_PER_SITE = MAX_DELAYED // 10
"""One flooding site must leave room for the refusals of others."""

_delayed: set[asyncio.TimerHandle] = set()
_delayed_by_site: Counter[str] = Counter()


def refuse(request: HttpRequest, error: Exception) -> None:
    """Answer a request that failed with this error."""
    refusal = _to_refusal(error)
    response = refusal.encode(request.origin)
    site = refusal.rate_limited_site
    if site and len(_delayed) < MAX_DELAYED and _delayed_by_site[site] < MAX_DELAYED_PER_SITE:
        _delay(request, response, site)
    else:
        reply(request, response)


def _delay(request: HttpRequest, response: bytes, site: str) -> None:
    """Send the response later. Only the response is kept: thousands of bodies are too much."""

    def send() -> None:
        _delayed.discard(timer)
        _delayed_by_site[site] -= 1
        if not _delayed_by_site[site]:
            del _delayed_by_site[site]
        reply(request, response)

    request.release_input()
    seconds = random.uniform(*DELAY_SECONDS)  # noqa: S311 - spreads load, protects no secret
    timer = asyncio.get_running_loop().call_later(seconds, send)
    _delayed.add(timer)
    _delayed_by_site[site] += 1


def reply(request: HttpRequest, response: bytes) -> None:
    """Answer a request; a HEAD request gets the headers alone."""
    request.answer(responses.without_body(response) if request.method == b"HEAD" else response)


def _to_refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if is_store_fault(error):
        # The stream may have stored the events although the append ran out of time.
        log.warning("store_unavailable_outcome_unknown", error=repr(error))
        return Refusal(503, "UNAVAILABLE", SEND_AGAIN, {"retry-after": str(RETRY_SECONDS)})
    log.error("request_failed", exc_info=error)
    message = f"An internal error occurred and was logged. {SEND_AGAIN}"
    return Refusal(500, "INTERNAL_SERVER_ERROR", message)
