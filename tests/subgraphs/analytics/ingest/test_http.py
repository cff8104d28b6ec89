"""HTTP of the ingest endpoint: partial reads, pipelines, limits, and clients that disconnect."""

import asyncio
import json
from typing import Any

import pytest

from subgraphs.analytics.ingest.connection import MAX_PIPELINED
from subgraphs.analytics.ingest.request_reader import MAX_BODY, MAX_HEAD
from tests.fixtures.ingest import IngestProcess, body, shown
from tests.fixtures.requests_to_ingest import head, raw_client, request, results_of
from tests.fixtures.shop import Shop, new_shop


@pytest.fixture(scope="module")
async def shop(stores: object) -> Shop:
    return await new_shop()


async def test_pipelined_requests_are_answered_in_order(ingest: IngestProcess, shop: Shop) -> None:
    """Some are answered at once and some wait for the store; the order stays."""
    events = [shown() for _ in range(10)]
    unknown = request({"siteKey": "pk_unknown", "events": [shown()]})
    sent = b"".join(request(body(shop, event)) + unknown for event in events)
    async with raw_client(ingest) as client:
        await client.send(sent + b"GET /healthz HTTP/1.1\r\n\r\n")

        for event in events:
            assert results_of(await client.answer()) == [(event["id"], "accepted")]
            assert (await client.answer())[0] == 401
        assert await client.answer() == (200, {"content-length": "2"}, b"ok")

    assert [str(it.id) for it in await ingest.stored_events()] == [event["id"] for event in events]


async def test_more_requests_than_the_pipeline_limit_are_all_answered(
    ingest: IngestProcess, shop: Shop
) -> None:
    events = [shown() for _ in range(3 * MAX_PIPELINED)]
    async with raw_client(ingest) as client:
        await client.send(b"".join(request(body(shop, event)) for event in events))

        for event in events:
            assert results_of(await client.answer()) == [(event["id"], "accepted")]


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_request_may_arrive_in_pieces(ingest: IngestProcess, shop: Shop, size: int) -> None:
    first, second = shown(), shown()
    sent = request(body(shop, first), "Origin: null") + request(body(shop, second))
    async with raw_client(ingest) as client:
        for start in range(0, len(sent), size):
            await client.send(sent[start : start + size])
            await asyncio.sleep(0)
        statuses = await client.statuses(1)
        answer = await client.answer()

    assert statuses == [403]  # the origin header was assembled correctly
    assert results_of(answer) == [(second["id"], "accepted")]


async def test_a_chunked_body_is_assembled(ingest: IngestProcess, shop: Shop) -> None:
    event = shown()
    data = json.dumps(body(shop, event)).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in data)
    async with raw_client(ingest) as client:
        await client.send(head("Transfer-Encoding: chunked") + chunks + b"0\r\nOrigin: x\r\n\r\n")

        assert results_of(await client.answer()) == [(event["id"], "accepted")]


async def test_a_client_that_expects_100_continue_gets_it(
    ingest: IngestProcess, shop: Shop
) -> None:
    event = shown()
    data = json.dumps(body(shop, event)).encode()
    async with raw_client(ingest) as client:
        await client.send(head("Expect: 100-continue", f"Content-Length: {len(data)}"))
        assert await client.answer() == (100, {}, b"")
        await client.send(data)
        assert results_of(await client.answer()) == [(event["id"], "accepted")]

    async with raw_client(ingest) as client:
        await client.send(head("Expect: 100-continue", f"Content-Length: {MAX_BODY + 1}"))
        assert (await client.answer())[0] == 413
        assert await client.is_closed()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head("X: " + "x" * 4 * MAX_HEAD), 431),
        (b"POST /" + b"x" * 3 * MAX_HEAD, 431),
        (head(*(f"X-{n}: {n}" for n in range(5_000))), 431),
        (head("Transfer-Encoding: chunked") + b"10000000\r\n" + b" " * 2 * MAX_BODY, 413),
        (head("Transfer-Encoding: chunked") + b"1\r\n \r\n" * (MAX_BODY + 1), 413),
        (head("Transfer-Encoding: chunked") + b"0\r\nX: " + b"x" * 9 * MAX_BODY, 413),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (head("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (head("Content-Length: 1", "Content-Length: 2"), 400),
        (head("Content-Length: -1"), 400),
        (b"POST /v1/events HTTP/1.1\r\nHost : ingest\r\n\r\n", 400),
    ],
)
async def test_an_oversized_or_malformed_request_is_refused_and_closes(
    ingest: IngestProcess, sent: bytes, status: int
) -> None:
    async with raw_client(ingest) as client:
        await client.send(sent)
        answered, headers, content = await client.answer()

        assert (answered, content["error"]["code"]) == (status, "BAD_USER_INPUT")
        assert headers["connection"] == "close"
        assert await client.is_closed()
    assert await ingest.stored_events() == []


async def test_a_refusal_is_sent_after_earlier_responses(ingest: IngestProcess, shop: Shop) -> None:
    event = shown()
    async with raw_client(ingest) as client:
        await client.send(request(body(shop, event)) + b"nonsense\r\n\r\n")

        assert results_of(await client.answer()) == [(event["id"], "accepted")]
        assert (await client.answer())[0] == 400
        assert await client.is_closed()


async def test_a_closing_client_gets_its_response(ingest: IngestProcess, shop: Shop) -> None:
    async with raw_client(ingest) as client:
        await client.send(request(body(shop, shown()), "Connection: close"))
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (202, "close")
        assert await client.is_closed()

    async with raw_client(ingest) as client:
        await client.send(request(body(shop, shown())))
        client.end()
        assert (await client.answer())[0] == 202
        assert await client.is_closed()


async def test_an_upgrade_is_not_accepted(ingest: IngestProcess, shop: Shop) -> None:
    async with raw_client(ingest) as client:
        wanted = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
        await client.send(request(body(shop, shown()), *wanted))

        assert (await client.answer())[0] in (202, 400)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("HEAD /healthz", 200),
        ("HEAD /v1/events", 405),
        ("OPTIONS *", 404),
        ("POST //", 404),
        ("GET /healthz?x=1", 200),
        ("GET http://ingest/healthz", 200),
        ("CONNECT ingest:443", 400),
    ],
)
async def test_unusual_requests_are_answered(ingest: IngestProcess, line: str, status: int) -> None:
    async with raw_client(ingest) as client:
        await client.send(f"{line} HTTP/1.1\r\nHost: ingest\r\n\r\n".encode())
        first, rest = await client.read_all_sent()

    assert first == f"HTTP/1.1 {status}"
    assert rest.endswith(b"\r\n\r\n") == line.startswith("HEAD")


async def test_clients_that_disconnect_shift_no_response(ingest: IngestProcess, shop: Shop) -> None:
    """A write to a closed client once raised, and the next client got its acknowledgement."""
    left = [shown() for _ in range(20)]
    stayed = [shown() for _ in range(20)]

    async def disconnect(event: dict[str, Any]) -> None:
        async with raw_client(ingest) as client:
            await client.send(request(body(shop, event)))
            client.abort()

    async def stay(event: dict[str, Any]) -> None:
        async with raw_client(ingest) as client:
            await client.send(request(body(shop, event)) + request(body(shop, event)))
            assert results_of(await client.answer()) == [(event["id"], "accepted")]
            assert results_of(await client.answer()) == [(event["id"], "duplicate")]

    pairs = zip(left, stayed, strict=True)
    await asyncio.gather(*(it for one, two in pairs for it in (disconnect(one), stay(two))))

    assert {event["id"] for event in stayed} <= {str(it.id) for it in await ingest.stored_events()}


async def test_a_client_that_does_not_read_delays_no_other(
    ingest: IngestProcess, shop: Shop
) -> None:
    unread = request({"siteKey": "pk_" + "x" * 90, "events": []}, "X: " + "x" * 200) * 60_000
    async with raw_client(ingest, receives=4096) as stalled, raw_client(ingest) as client:
        sending = asyncio.create_task(stalled.send(unread))
        await asyncio.sleep(0.2)
        await client.send(request(body(shop, shown())))

        assert (await client.answer())[0] == 202
        assert not sending.done()  # its requests are not read while it does not read
        stalled.abort()
        await asyncio.gather(sending, return_exceptions=True)


async def test_a_store_that_restarts_stores_all_events_of_a_request_or_none(
    ingest: IngestProcess, shop: Shop
) -> None:
    requests = [[shown() for _ in range(10)] for _ in range(4)]
    async with raw_client(ingest) as client:
        ingest.valkey.kill()
        for events in requests:
            await client.send(request(body(shop, *events)))
        refused = [await client.answer() for _ in requests]
        ingest.valkey.start()
        for events in requests:
            await client.send(request(body(shop, *events)))
        accepted = [await client.answer() for _ in requests]

    for status, headers, content in refused:
        assert (status, headers["retry-after"]) == (503, "2")
        assert content["error"]["code"] == "UNAVAILABLE"
    for events, answer in zip(requests, accepted, strict=True):
        assert results_of(answer) == [(event["id"], "accepted") for event in events]
    assert len(await ingest.stored_events()) == 40
