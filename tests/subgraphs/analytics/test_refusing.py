"""What a refusal keeps while it is held back."""

import asyncio
import weakref

from subgraphs.analytics.door import refusing
from subgraphs.analytics.door.answers import Refusal
from subgraphs.analytics.door.protocol import Connection, Connections, Request


class Body(bytearray):
    """One that can be watched."""


def read_and_refused(request: Request) -> "weakref.ref[Body]":
    body = request.body = Body(b"x" * 60_000)
    try:
        raise Refusal(429, "RATE_LIMITED", f"{len(body)} bytes are too many.")
    except Refusal as error:
        refusing.refuse(request, error)
    return weakref.ref(body)


async def test_a_refusal_that_is_held_back_keeps_nothing_of_what_was_sent() -> None:
    request = Request(Connection(Connections(lambda request: None)), b"/v1/events")

    body = read_and_refused(request)

    assert request.answered is None
    assert body() is None
    await asyncio.sleep(refusing.HELD_SECONDS[1])
    assert request.answered is not None
    assert b"60000 bytes are too many." in request.answered
