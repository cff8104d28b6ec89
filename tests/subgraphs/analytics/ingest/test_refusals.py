"""Delayed refusals: what they keep in memory, and how many a site may have."""

import weakref

import pytest

from subgraphs.analytics.ingest import refusals
from subgraphs.analytics.ingest.connection import Connection, Connections
from subgraphs.analytics.ingest.http_request import HttpRequest
from subgraphs.analytics.ingest.responses import Refusal
from tests.fixtures.deadline import eventually


class Body(bytearray):
    """A body that a weak reference can watch."""


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", (0.1, 0.2))


def new_request() -> HttpRequest:
    return HttpRequest(Connection(Connections(lambda request: None)), b"/v1/events")


def refuse_with_body(request: HttpRequest) -> "weakref.ref[Body]":
    body = request.body = Body(b"x" * 60_000)
    try:
        message = f"{len(body)} bytes are too many."
        raise Refusal(429, "RATE_LIMITED", message, rate_limited_site="site")
    except Refusal as error:
        refusals.refuse(request, error)
    return weakref.ref(body)


async def test_a_delayed_refusal_keeps_nothing_of_the_request() -> None:
    request = new_request()

    body = refuse_with_body(request)

    assert request.response is None
    assert body() is None
    await eventually(lambda: unanswered([request]), lambda left: left == [])
    assert request.response is not None
    assert b"60000 bytes are too many." in request.response


async def unanswered(requests: list[HttpRequest]) -> list[HttpRequest]:
    return [request for request in requests if request.response is None]


def delayed_of(site: str, count: int) -> list[HttpRequest]:
    """Refuse so many requests of a site; returns those whose refusal is delayed."""
    requests = [new_request() for _ in range(count)]
    for request in requests:
        refusals.refuse(request, Refusal(429, "RATE_LIMITED", "No.", rate_limited_site=site))
    return [request for request in requests if request.response is None]


async def test_one_site_has_at_most_its_share_of_the_delayed_refusals() -> None:
    of_one = delayed_of("one", refusals.MAX_DELAYED_PER_SITE + 1)
    of_another = delayed_of("another", 1)

    assert (len(of_one), len(of_another)) == (refusals.MAX_DELAYED_PER_SITE, 1)
    await eventually(lambda: unanswered(of_one + of_another), lambda left: left == [])
    assert len(delayed_of("one", 1)) == 1
