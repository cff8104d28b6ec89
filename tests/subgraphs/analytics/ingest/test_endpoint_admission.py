"""Admission: which keys are looked up, which requests share a look-up, and what is charged."""

import asyncio
from uuid import uuid4

import pytest

from subgraphs.analytics.ingest import admission
from subgraphs.analytics.ingest.admission import Admission, SiteClient
from subgraphs.analytics.ingest.endpoint import FULL
from subgraphs.analytics.ingest.responses import Refusal
from subgraphs.analytics.ingest.token_buckets import BURST_SECONDS, TokenBucket
from subgraphs.kernel.backlog import Backlog
from subgraphs.kernel.identity import credentials
from subgraphs.kernel.identity.credentials import SiteAccess
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.redis.invalidation import Change
from subgraphs.kernel.streams.interface import partition_of
from tests.fixtures.shop import new_shop


@pytest.fixture
def admitter(stores: object) -> Admission:
    return Admission(Backlog(partition_of, full=FULL))


async def test_a_key_that_was_valid_is_looked_up_while_invented_keys_use_all_slots(
    admitter: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, new = await new_shop(), await new_shop()
    await admitter.find(known.site_key)
    monkeypatch.setattr(admission, "MAX_LOOK_UPS", 0)  # as if invented keys used all slots

    admitter.invalidate(Change("site", known.site_id))
    client = await admitter.find(known.site_key)
    with pytest.raises(Refusal) as refused:
        await admitter.find(new.site_key)

    assert client.access.site_id == known.site_id
    assert (refused.value.status, refused.value.code) == (503, "UNAVAILABLE")


async def test_a_look_up_frees_its_slot(
    admitter: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_LOOK_UPS", 1)
    shops = [await new_shop() for _ in range(3)]

    clients = [await admitter.find(shop.site_key) for shop in shops]

    assert [client.access.site_id for client in clients] == [shop.site_id for shop in shops]


async def test_a_request_after_a_change_does_not_share_an_earlier_look_up(
    admitter: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = SiteAccess(new_id(), new_id(), "example.com", 50)
    after = SiteAccess(before.site_id, before.account_id, "example.com", 200)
    answers = [before, after]
    started: asyncio.Queue[None] = asyncio.Queue()
    may_answer = asyncio.Event()

    async def slow(_key: str) -> SiteAccess:
        access = answers.pop(0)
        started.put_nowait(None)
        await may_answer.wait()
        return access

    monkeypatch.setattr(credentials, "_find_site", slow)
    earlier = [asyncio.create_task(admitter.find("pk_x")) for _ in range(2)]
    await asyncio.wait_for(started.get(), 10)
    admitter.invalidate(Change("site", before.site_id))
    later = [asyncio.create_task(admitter.find("pk_x")) for _ in range(2)]
    await asyncio.wait_for(started.get(), 10)
    may_answer.set()

    found = [client.access for client in await asyncio.gather(*earlier, *later)]
    assert found == [before, before, after, after]


async def test_a_request_without_events_is_charged_one(admitter: Admission) -> None:
    access = SiteAccess(uuid4(), uuid4(), "example.com", 50)
    client = SiteClient(access, TokenBucket(50, now=0))

    for _ in range(50 * BURST_SECONDS):
        admitter.admit(client, None, 0, 0)
    with pytest.raises(Refusal) as refused:
        admitter.admit(client, None, 0, 0)

    assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "1")
