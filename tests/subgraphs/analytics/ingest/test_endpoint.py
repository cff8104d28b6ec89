"""The ingest endpoint: what it accepts, what it refuses, and with which response."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from subgraphs.analytics.ingest.request_reader import MAX_BODY
from subgraphs.kernel.redis import connect
from subgraphs.kernel.streams.envelope import Event
from tests.fixtures.ingest import IngestProcess, body, error_of, post, shown
from tests.fixtures.shop import new_shop


async def test_accepted_events_are_on_the_stream(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    shop = await new_shop()
    sent = [shown(), shown(type="clicked"), shown(type="page.viewed", claimId=None)]

    answer = await post(client, body(shop, *sent))

    assert answer.status_code == 202
    assert answer.json() == {
        "results": [{"id": it["id"], "status": "accepted", "reason": None} for it in sent]
    }
    first, second, third = await ingest.stored_events()
    assert [it.type for it in (first, second, third)] == [
        "claim.shown",
        "claim.clicked",
        "page.viewed",
    ]
    assert first == Event(
        id=UUID(sent[0]["id"]),
        site_id=shop.site_id,
        account_id=shop.account_id,
        type="claim.shown",
        occurred_at=datetime.fromisoformat(sent[0]["occurredAt"]),
        captured_at=first.captured_at,
        source="snippet",
        visitor_id="visitor",
        payload={
            "claimId": sent[0]["claimId"],
            "page": "/shoes",
            "device": "desktop",
            "country": None,
        },
    )
    assert timedelta(0) <= datetime.now(UTC) - first.captured_at < timedelta(seconds=5)


async def test_an_id_is_accepted_once_per_site(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    shop, other = await new_shop(), await new_shop()
    event = shown()

    first = await post(client, body(shop, event, event))
    again = await post(client, body(shop, event))
    others = await post(client, body(other, event))

    statuses = [
        [result["status"] for result in answer.json()["results"]]
        for answer in (first, again, others)
    ]
    assert statuses == [["accepted", "duplicate"], ["duplicate"], ["accepted"]]
    assert [it.site_id for it in await ingest.stored_events()] == [shop.site_id, other.site_id]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"occurredAt": timedelta(minutes=6)}, "CLOCK_SKEW"),
        ({"occurredAt": timedelta(hours=-25)}, "CLOCK_SKEW"),
        ({"occurredAt": "2026-01-01T00:00:00"}, "BAD_EVENT"),
        ({"occurredAt": None}, "BAD_EVENT"),
        ({"type": "published"}, "BAD_EVENT"),
        ({"claimId": None}, "BAD_EVENT"),
        ({"claimId": "claim"}, "BAD_EVENT"),
        ({"visitorId": "v" * 101}, "BAD_EVENT"),
        ({"page": "/\x00"}, "BAD_EVENT"),
    ],
)
async def test_a_refused_event_has_a_reason_and_the_others_are_accepted(
    client: httpx.AsyncClient, ingest: IngestProcess, changes: dict[str, object], reason: str
) -> None:
    good, bad = shown(), shown(**changes)

    answer = await post(client, body(await new_shop(), bad, good))

    assert answer.status_code == 202
    assert answer.json()["results"] == [
        {"id": bad["id"], "status": "refused", "reason": reason},
        {"id": good["id"], "status": "accepted", "reason": None},
    ]
    assert [str(it.id) for it in await ingest.stored_events()] == [good["id"]]


@pytest.mark.parametrize("event", [None, 5, [], {}, {"id": 7}, {"id": "not a uuid"}])
async def test_an_invalid_event_is_refused(client: httpx.AsyncClient, event: object) -> None:
    answer = await post(client, body(await new_shop(), event))

    ((result,),) = (answer.json()["results"],)
    assert (answer.status_code, result["status"], result["reason"]) == (
        202,
        "refused",
        "BAD_EVENT",
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"siteKey": 5, "events": []}',
        b'{"events": []}',
        {"siteKey": "pk_x", "events": [shown() for _ in range(101)]},
        b'{"siteKey": "pk_x", "events": ' + b"[" * 20_000,
    ],
)
async def test_an_invalid_body_is_bad_user_input(
    client: httpx.AsyncClient, ingest: IngestProcess, content: object
) -> None:
    answer = await post(client, content)

    assert error_of(answer) == (400, "BAD_USER_INPUT")
    assert await ingest.stored_events() == []


async def test_a_body_that_is_too_large_is_not_read(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    long = b" " * (MAX_BODY + 1)
    parts = 0

    async def unannounced() -> AsyncIterator[bytes]:
        nonlocal parts
        for _ in range(1_000):
            parts += 1
            yield b" " * 1_024

    assert error_of(await post(client, long)) == (413, "BAD_USER_INPUT")
    answer = await client.post("/v1/events", content=unannounced())
    assert error_of(answer) == (413, "BAD_USER_INPUT")
    assert await ingest.stored_events() == []


async def test_a_hundred_events_of_usual_size_fit(client: httpx.AsyncClient) -> None:
    answer = await post(client, body(await new_shop(), *(shown() for _ in range(100))))

    statuses = {result["status"] for result in answer.json()["results"]}
    assert (answer.status_code, statuses) == (202, {"accepted"})


async def test_an_unknown_key_is_unauthenticated(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    answer = await post(client, {"siteKey": "pk_unknown", "events": [shown()]})

    assert error_of(answer) == (401, "UNAUTHENTICATED")
    assert await ingest.stored_events() == []


async def test_other_methods_and_paths_are_refused(client: httpx.AsyncClient) -> None:
    assert error_of(await client.get("/v1/events")) == (405, "BAD_USER_INPUT")
    assert error_of(await client.post("/v1/other")) == (404, "NOT_FOUND")


async def test_while_the_store_is_down_nothing_is_accepted_and_events_can_be_sent_again(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    content = body(await new_shop(), shown(), shown())
    ingest.valkey.kill()

    away = await post(client, content)
    ready_while_away = await client.get("/readyz")
    ingest.valkey.start()
    back = await post(client, content)

    assert error_of(away) == (503, "UNAVAILABLE")
    assert away.headers["retry-after"] == "2"
    assert ready_while_away.status_code == 503
    assert {result["status"] for result in back.json()["results"]} == {"accepted"}
    assert len(await ingest.stored_events()) == 2
    assert (await client.get("/readyz")).status_code == 200


async def test_an_append_that_times_out_has_an_unknown_outcome(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    shop = await new_shop()
    await post(client, body(shop, shown()))  # opens the connection and caches the site
    late = body(shop, shown(), shown())

    with ingest.valkey.paused():
        unknown = await post(client, late)
    again = await post(client, late)

    assert error_of(unknown) == (503, "UNAVAILABLE")
    assert "may or may not be stored" in unknown.json()["error"]["message"]
    assert "the same ids" in unknown.json()["error"]["message"]
    assert {result["status"] for result in again.json()["results"]} == {"duplicate"}
    assert len(await ingest.stored_events()) == 3


async def test_concurrent_requests_each_get_their_own_results(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    shop = await new_shop()
    requests = [[shown() for _ in range(1 + n % 10)] for n in range(60)]

    answers = await asyncio.gather(*(post(client, body(shop, *events)) for events in requests))

    for events, answer in zip(requests, answers, strict=True):
        assert answer.json()["results"] == [
            {"id": event["id"], "status": "accepted", "reason": None} for event in events
        ]
    assert {str(it.id) for it in await ingest.stored_events()} == {
        event["id"] for events in requests for event in events
    }
    async with connect(ingest.valkey.url) as opened:
        stats = await opened.info("commandstats")
    assert stats["cmdstat_sadd"]["calls"] < len(requests) / 2  # requests shared appends


async def test_a_request_without_events_has_no_results(client: httpx.AsyncClient) -> None:
    answer = await post(client, body(await new_shop()))

    assert (answer.status_code, answer.json()) == (202, {"results": []})
