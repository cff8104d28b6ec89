"""Rate limits: only the site that exceeds its limit waits, and a refused request stores nothing."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from subgraphs.analytics.ingest.endpoint import FULL
from subgraphs.analytics.ingest.token_buckets import (
    BURST_SECONDS,
    Excess,
    TokenBucket,
    TokenBuckets,
)
from subgraphs.kernel import db
from subgraphs.kernel.backlog import Backlog
from subgraphs.kernel.identity.tenants import set_limits
from subgraphs.kernel.redis import connect
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC
from subgraphs.kernel.streams.interface import partition_of
from subgraphs.kernel.streams.redis.names import stream_of
from tests.fixtures.deadline import eventually
from tests.fixtures.ingest import IngestProcess, body, error_of, post, shown
from tests.fixtures.shop import Shop, new_shop


async def shop_with(events_per_second: int) -> Shop:
    shop = await new_shop()
    async with db.transaction(shop.owner) as session:
        await set_limits(
            session,
            site_id=shop.site_id,
            events_per_second=events_per_second,
            retention_days=90,
        )
    return shop


async def test_a_flooding_site_is_refused_and_another_is_not(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    flooding, other = await shop_with(1), await shop_with(1)  # a burst is one full request

    first = await post(client, body(flooding, *(shown() for _ in range(100))))
    second = await post(client, body(flooding, *(shown() for _ in range(50))))
    others = await post(client, body(other, shown()))

    assert first.status_code == others.status_code == 202
    assert error_of(second) == (429, "RATE_LIMITED")
    wait = int(second.headers["retry-after"])
    assert 45 <= wait <= 50
    assert second.headers["ratelimit-limit"] == "1"
    assert int(second.headers["ratelimit-remaining"]) + wait == 50
    assert second.headers["ratelimit-reset"] == str(wait)
    assert len(await ingest.stored_events()) == 101


async def test_the_refusal_of_a_flooding_site_is_delayed_while_others_are_answered(
    client: httpx.AsyncClient,
) -> None:
    flooding, other = await shop_with(1), await shop_with(1)
    await post(client, body(flooding, *(shown() for _ in range(100))))
    await post(client, body(other, shown()))  # the endpoint has cached both sites now

    refused = asyncio.create_task(post(client, body(flooding, *(shown() for _ in range(90)))))
    await asyncio.sleep(0.05)
    accepted = asyncio.create_task(post(client, body(other, shown())))
    (first,), _ = await asyncio.wait({refused, accepted}, return_when=asyncio.FIRST_COMPLETED)

    assert first is accepted
    assert (accepted.result().status_code, (await refused).status_code) == (202, 429)


async def test_the_origin_is_checked_before_the_rate_limit(client: httpx.AsyncClient) -> None:
    shop = await shop_with(1)
    await post(client, body(shop, *(shown() for _ in range(100))))

    answer = await post(client, body(shop, *(shown() for _ in range(90))), Origin="http://x.test")

    assert error_of(answer) == (403, "FORBIDDEN")
    answer = await post(client, body(shop, *(shown() for _ in range(90))))
    assert error_of(answer) == (429, "RATE_LIMITED")


async def test_events_that_the_store_did_not_take_are_refunded(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    shop = await shop_with(1)
    content = body(shop, *(shown() for _ in range(100)))
    ingest.valkey.kill()
    away = await post(client, content)
    ingest.valkey.start()

    back = await post(client, content)

    assert (away.status_code, back.status_code) == (503, 202)


def test_a_bucket_fills_at_its_rate() -> None:
    bucket = TokenBucket(50, now=0)

    assert bucket.charge(50 * BURST_SECONDS, 0) is None
    assert bucket.charge(1, 0) == Excess(limit=50, remaining=0, wait=1)
    assert bucket.charge(100, 1) == Excess(limit=50, remaining=50, wait=1)
    assert bucket.charge(50, 1) is None
    assert bucket.charge(501, 1_000) == Excess(limit=50, remaining=500, wait=1)
    assert bucket.charge(500, 1_000) is None
    bucket.refund(600)
    assert bucket.charge(500, 1_000) is None


def test_a_new_plan_applies_at_once_and_refunds_nothing() -> None:
    buckets, site_id = TokenBuckets(), uuid4()
    assert buckets.of(site_id, 50, 0).charge(500, 0) is None

    bucket = buckets.of(site_id, 200, 1)

    assert bucket.charge(201, 1) == Excess(limit=200, remaining=200, wait=1)
    assert bucket.charge(200, 1) is None


@pytest.fixture
def backlog() -> Backlog:
    """Sites `a…` are in partition 0, all others in 1."""
    return Backlog(lambda key: 0 if key.startswith("a") else 1, full=FULL)


def offer(backlog: Backlog, **offered: int) -> list[str]:
    """Offer events; returns the sites that are refused."""
    return [key for key, events in offered.items() if backlog.refuses(key, events)]


def test_sites_that_fill_a_full_partition_are_refused(backlog: Backlog) -> None:
    load = {"a_flood": 5_000, "a_small": 10, "a_tiny": 1, "b_flood": 9_000}
    assert offer(backlog, **load) == []

    backlog.update([FULL - 1, FULL - 1])
    assert offer(backlog, **load) == []
    backlog.update([FULL, 0])
    for _ in range(20):  # refused events count as well
        assert offer(backlog, **load) == ["a_flood"]
        backlog.update([FULL, 0])
    backlog.update([FULL - 1, 0])
    assert offer(backlog, **load) == []


def test_a_site_that_stops_flooding_is_admitted_again(backlog: Backlog) -> None:
    offer(backlog, a_flood=5_000, a_small=100)
    backlog.update([FULL, 0])
    assert offer(backlog, a_flood=1, a_small=100) == ["a_flood"]

    for _ in range(30):
        offer(backlog, a_flood=1, a_small=100)
        backlog.update([FULL, 0])

    assert offer(backlog, a_flood=1) == []


def test_a_single_site_in_a_full_partition_is_refused(backlog: Backlog) -> None:
    offer(backlog, a_only=10)
    backlog.update([FULL, 0])
    assert offer(backlog, a_only=10) == ["a_only"]


FILL = "for i = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '*', 'e', 'x') end"


async def test_a_full_stream_refuses_the_site_that_fills_it_and_no_other(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    filling, other = await new_shop(), await new_shop()
    while partition_of(str(other.site_id)) == partition_of(str(filling.site_id)):
        other = await new_shop()
    stream = stream_of(EVENTS_TOPIC, partition_of(str(filling.site_id)))
    async with connect(ingest.valkey.url) as opened:
        await opened.eval(FILL, 1, stream, str(FULL))  # no stream worker runs

    async def send() -> httpx.Response:
        return await post(client, body(filling, shown()))

    refused = await eventually(send, lambda answer: answer.status_code == 429)
    async with connect(ingest.valkey.url) as opened:
        length = await opened.xlen(stream)
        assert error_of(await send()) == (429, "RATE_LIMITED")
        assert await opened.xlen(stream) == length
        assert (await post(client, body(other, shown()))).status_code == 202
        await opened.xtrim(stream, maxlen=0)
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["ratelimit-remaining"] == "0"
    await eventually(send, lambda answer: answer.status_code == 202)
