"""The webhook receiver under overload: who is refused, and that nothing acknowledged is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest

from subgraphs.integrations.inbox import receiver, senders, store
from subgraphs.integrations.inbox.receiver import FULL, REQUEST_BYTES, Receiver, app
from tests.fixtures.serving import serving
from tests.subgraphs.integrations.test_inbox import ORDER, Sender, error_of, new_sender

pytestmark = pytest.mark.usefixtures("stores")

FLOOD = 300
"""Webhooks at a time."""


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a receiver with space for twenty webhooks."""
    monkeypatch.setattr(receiver, "SPACE", 20 * (REQUEST_BYTES + len(ORDER)))
    receiver._receiver.cache_clear()
    limits = httpx.Limits(max_connections=FLOOD + 10)
    async with (
        serving(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=30) as client,
    ):
        yield client
    receiver._receiver.cache_clear()


async def send_many(sender: Sender, count: int) -> list[httpx.Response]:
    """Send different webhooks at once."""
    return await asyncio.gather(
        *(sender.send(X_Shopify_Webhook_Id=f"d-{number}") for number in range(count))
    )


async def test_a_flood_of_one_site_is_refused_and_the_site_beside_it_is_not(
    served: httpx.AsyncClient,
) -> None:
    flooding, quiet = await new_sender(served), await new_sender(served)
    for one in (flooding, quiet):
        await one.send()  # both are cached

    async def send_one_by_one() -> list[httpx.Response]:
        return [await quiet.send(X_Shopify_Webhook_Id=f"d-{number}") for number in range(20)]

    flood, beside = await asyncio.gather(send_many(flooding, FLOOD), send_one_by_one())

    assert [answer.status_code for answer in beside] == [200] * 20
    statuses = Counter(answer.status_code for answer in flood)
    assert statuses.keys() == {200, 503}
    refused = next(answer for answer in flood if answer.status_code == 503)
    assert error_of(refused) == (503, "UNAVAILABLE")
    assert refused.headers["retry-after"] == "30"
    assert len(await flooding.inbox()) == statuses[200] + 1
    assert len(await quiet.inbox()) == 21


async def test_a_refused_webhook_is_taken_when_it_is_sent_again(served: httpx.AsyncClient) -> None:
    flooding = await new_sender(served)
    waiting = list(range(60))
    while waiting:
        answers = await asyncio.gather(
            *(flooding.send(X_Shopify_Webhook_Id=f"d-{number}") for number in waiting)
        )
        waiting = [
            number
            for number, answer in zip(waiting, answers, strict=True)
            if answer.status_code == 503
        ]

    assert len(await flooding.inbox()) == 60


async def test_a_further_site_is_refused_with_503_too_when_nothing_is_left(
    served: httpx.AsyncClient,
) -> None:
    sender = await new_sender(served)
    await sender.send()
    receiver._receiver()._space._free = REQUEST_BYTES

    refused = await sender.send(X_Shopify_Webhook_Id="d-1")

    assert error_of(refused) == (503, "UNAVAILABLE")
    assert receiver._receiver()._space._free == REQUEST_BYTES
    receiver._receiver()._space._free = 20 * REQUEST_BYTES
    assert (await sender.send(X_Shopify_Webhook_Id="d-1")).status_code == 200


async def test_while_the_inbox_is_full_the_site_that_filled_it_is_refused(
    served: httpx.AsyncClient,
) -> None:
    flooding, quiet = await new_sender(served), await new_sender(served)
    backlog = receiver._receiver()._backlog
    for number in range(10):
        await flooding.send(X_Shopify_Webhook_Id=f"d-{number}")
    await quiet.send()
    backlog.update([FULL])

    answers = [await flooding.send(X_Shopify_Webhook_Id="d-11"), await quiet.send()]
    backlog.update([FULL - 1])
    answers.append(await flooding.send(X_Shopify_Webhook_Id="d-11"))

    assert error_of(answers[0]) == (503, "UNAVAILABLE")
    assert [answer.status_code for answer in answers] == [503, 200, 200]


async def test_invented_integrations_do_not_keep_a_known_shop_out(
    served: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await new_sender(served)
    await known.send()
    monkeypatch.setattr(senders, "MAX_LOOK_UPS", 0)  # as if invented ids used all look-ups
    receiver._receiver()._senders._cache.clear()

    invented = await served.post(f"/hooks/shopify/{uuid4()}", content=ORDER)

    assert error_of(invented) == (503, "UNAVAILABLE")
    assert (await known.send()).status_code == 200


async def test_requests_of_one_integration_share_a_look_up(
    monkeypatch: pytest.MonkeyPatch, served: httpx.AsyncClient
) -> None:
    looked_up: list[UUID] = []
    find = store.find_sender

    async def find_and_count(integration_id: UUID) -> object:
        looked_up.append(integration_id)
        return await find(integration_id)

    monkeypatch.setattr(store, "find_sender", find_and_count)
    known = (await new_sender(served)).integration_id
    found = Receiver()._senders

    assert len(set(await asyncio.gather(*(found.find(known) for _ in range(10))))) == 1
    assert looked_up == [known]
