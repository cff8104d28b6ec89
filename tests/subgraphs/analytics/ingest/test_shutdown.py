"""The process of the ingest endpoint: graceful shutdown and open-file limit."""

import asyncio
import resource

import psutil

from tests.fixtures.deadline import eventually
from tests.fixtures.ingest import IngestProcess, body, shown
from tests.fixtures.requests_to_ingest import raw_client, request, results_of
from tests.fixtures.shop import new_shop
from tests.fixtures.valkey import Valkey


async def test_on_sigterm_pending_requests_are_answered(stores: object, valkey: Valkey) -> None:
    ingest = IngestProcess(valkey)
    await eventually(ingest.is_ready, bool)
    shop, event = await new_shop(), shown()
    sent = request(body(shop, event))
    async with raw_client(ingest) as client, raw_client(ingest) as idle:
        await client.send(sent[:50])
        await idle.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        await idle.answer()
        ending = asyncio.create_task(ingest.process.terminate())
        assert await idle.is_closed()
        await client.send(sent[50:])
        answer = await client.answer()
        assert await client.is_closed()

    assert await ending == 0
    assert results_of(answer) == [(event["id"], "accepted")]
    assert answer[1]["connection"] == "close"
    assert [str(it.id) for it in await ingest.stored_events()] == [event["id"]]


async def test_it_raises_its_open_file_limit_to_the_maximum(stores: object, valkey: Valkey) -> None:
    given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most // 2, most))
    try:
        ingest = IngestProcess(valkey)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (given, most))
    await eventually(ingest.is_ready, bool)

    allowed = psutil.Process(ingest.process.pid).rlimit(psutil.RLIMIT_NOFILE)

    await ingest.process.terminate()
    assert allowed == (most, most)
