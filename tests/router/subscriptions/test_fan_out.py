"""The fan-out writes each result once to each live subscriber, and waits for slow clients."""

import asyncio
from collections.abc import Callable

import pytest

from router.subscriptions import result_buffer
from router.subscriptions.cursors import Cursor
from router.subscriptions.fan_out import FanOut, SlowSubscriber
from router.subscriptions.result_buffer import ResultBuffer
from router.subscriptions.subgraph_client import Result


class Connection:
    def __init__(self) -> None:
        self.is_paused = False
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


class Subscriber:
    def __init__(self, suffix: bytes, after: Cursor | None = None) -> None:
        self.connection = Connection()
        self.position = 0
        self.after = after
        self.suffix = suffix
        self.encode: Callable[[bytes, int], bytes] = encode
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.error = error

    @property
    def text(self) -> str:
        return b"".join(self.connection.written).decode()


encoded: list[bytes] = []


def encode(payload: bytes, length: int) -> bytes:
    encoded.append(payload)
    return b"%d:%b" % (length, payload)


@pytest.fixture
def buffer() -> ResultBuffer:
    encoded.clear()
    return ResultBuffer((0, 0))


async def append(buffer: ResultBuffer, fan_out: FanOut, *numbers: int) -> None:
    for number in numbers:
        buffer.append(Result((number, 0), str(number).encode()))
        fan_out.schedule()
    await asyncio.sleep(0.01)


async def test_results_of_one_turn_are_one_write_and_encoded_once(buffer: ResultBuffer) -> None:
    fan_out = FanOut(buffer)
    subscribers = [Subscriber(suffix) for suffix in (b"/a", b"/b", b"/b", b"/long")]
    for subscriber in subscribers:
        fan_out.attach(subscriber)

    await append(buffer, fan_out, 1, 2, 3)

    assert [it.text for it in subscribers] == [
        "2:1/a2:2/a2:3/a",
        "2:1/b2:2/b2:3/b",
        "2:1/b2:2/b2:3/b",
        "5:1/long5:2/long5:3/long",
    ]
    assert [len(it.connection.written) for it in subscribers] == [1, 1, 1, 1]
    assert len(encoded) == 6  # three results for two lengths


async def test_results_up_to_the_start_are_skipped(buffer: ResultBuffer) -> None:
    fan_out = FanOut(buffer)
    subscriber = Subscriber(b".", after=(2, 0))
    fan_out.attach(subscriber)

    await append(buffer, fan_out, 1)
    await append(buffer, fan_out, 2, 3)
    await append(buffer, fan_out, 4)

    assert subscriber.text == "1:3.1:4."


async def test_a_slow_client_catches_up_or_is_ended(
    buffer: ResultBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_buffer, "BUFFER_RESULTS", 3)
    fan_out = FanOut(buffer)
    slow, slower = Subscriber(b"."), Subscriber(b".")
    for subscriber in (slow, slower):
        fan_out.attach(subscriber)
        subscriber.connection.is_paused = True

    await append(buffer, fan_out, 1, 2, 3)
    slow.connection.is_paused = False
    fan_out.deliver(slow)
    await append(buffer, fan_out, 4)
    slower.connection.is_paused = False
    fan_out.deliver(slower)

    assert slow.text == "1:1.1:2.1:3.1:4."
    assert slower.text == ""
    assert isinstance(slower.error, SlowSubscriber)


async def test_a_detached_subscriber_gets_nothing_more(buffer: ResultBuffer) -> None:
    fan_out = FanOut(buffer)
    left, stays = Subscriber(b"."), Subscriber(b".")
    fan_out.attach(left)
    fan_out.attach(stays)
    buffer.append(Result((1, 0), b"1"))
    fan_out.schedule()
    fan_out.detach(left)
    await asyncio.sleep(0.01)

    assert (left.text, stays.text) == ("", "1:1.")


async def test_more_subscribers_than_one_turn_writes_to(buffer: ResultBuffer) -> None:
    fan_out = FanOut(buffer)
    subscribers = [Subscriber(b".") for _ in range(1_201)]
    for subscriber in subscribers:
        fan_out.attach(subscriber)
    buffer.append(Result((1, 0), b"1"))
    fan_out.schedule()
    for number in (2, 3):
        await asyncio.sleep(0)
        buffer.append(Result((number, 0), str(number).encode()))
        fan_out.schedule()
    await asyncio.sleep(0.05)

    assert {it.text for it in subscribers} == {"1:1.1:2.1:3."}


async def test_many_results_at_once_are_written_before_they_leave_the_buffer(
    buffer: ResultBuffer,
) -> None:
    fan_out = FanOut(buffer)
    subscriber = Subscriber(b"")
    fan_out.attach(subscriber)
    numbers = range(1, 3 * result_buffer.BUFFER_RESULTS)

    await append(buffer, fan_out, *numbers)

    assert subscriber.text == "".join(f"0:{number}" for number in numbers)
