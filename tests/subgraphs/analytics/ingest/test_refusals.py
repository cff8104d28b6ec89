"""What a refusal keeps while it is held back."""

import asyncio
import weakref

from subgraphs.analytics.ingest import refusals
from subgraphs.analytics.ingest.connection import Connection, Connections
from subgraphs.analytics.ingest.http_request import HttpRequest
from subgraphs.analytics.ingest.responses import Refusal


class Body(bytearray):
    """One that can be watched."""


def new_request() -> HttpRequest:
    return HttpRequest(Connection(Connections(lambda request: None)), b"/v1/events")


def read_and_refused(request: HttpRequest) -> "weakref.ref[Body]":
    body = request.body = Body(b"x" * 60_000)
    try:
        message = f"{len(body)} bytes are too many."
        raise Refusal(429, "RATE_LIMITED", message, rate_limited_site="site")
    except Refusal as error:
        refusals.refuse(request, error)
    return weakref.ref(body)


async def test_a_refusal_that_is_held_back_keeps_nothing_of_what_was_sent() -> None:
    request = new_request()

    body = read_and_refused(request)

    assert request.response is None
    assert body() is None
    await asyncio.sleep(refusals.DELAY_SECONDS[1])
    assert request.response is not None
    assert b"60000 bytes are too many." in request.response


def held_of(site: str, count: int) -> list[HttpRequest]:
    """As many requests that were too much; those whose answer is held back."""
    requests = [new_request() for _ in range(count)]
    for request in requests:
        refusals.refuse(request, Refusal(429, "RATE_LIMITED", "No.", rate_limited_site=site))
    return [request for request in requests if request.response is None]


async def test_one_site_takes_its_share_of_what_is_held_back_and_no_more() -> None:
    of_one = held_of("one", refusals.MAX_DELAYED_PER_SITE + 1)
    of_another = held_of("another", 1)

    assert (len(of_one), len(of_another)) == (refusals.MAX_DELAYED_PER_SITE, 1)
    await asyncio.sleep(refusals.DELAY_SECONDS[1])
    assert [request for request in of_one + of_another if request.response is None] == []
    assert len(held_of("one", 1)) == 1
