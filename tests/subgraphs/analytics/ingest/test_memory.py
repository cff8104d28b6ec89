"""What the ingest endpoint caches of request headers."""

from subgraphs.analytics.ingest import bots, endpoint
from subgraphs.analytics.ingest.connection import Connection, Connections
from subgraphs.analytics.ingest.event_parsing import Sender
from subgraphs.analytics.ingest.http_request import HttpRequest
from tests.fixtures.ingest import BROWSER


def request_of(agent: bytes, country: bytes) -> HttpRequest:
    request = HttpRequest(Connection(Connections(lambda _: None)), b"/v1/events")
    request.agent, request.country = agent, country
    return request


async def test_a_long_header_is_cached_only_as_far_as_it_is_examined() -> None:
    agent = BROWSER.encode().ljust(bots.MAX_AGENT, b"x")
    endpoint._sender.cache_clear()

    found = {
        endpoint._sender_of(request_of(agent + ending, b"NOR" + ending))
        for ending in (b"", b"y" * 10_000, b"z" * 10_000)
    }

    assert found == {Sender(device="desktop", bot=None, country=None)}
    assert endpoint._sender.cache_info().currsize == 1
