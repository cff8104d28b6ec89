"""Group commit and the shared space: who is stored together, who is refused."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from subgraphs.integrations.inbox import group_commit
from subgraphs.integrations.inbox.fair_queue import FairQueue, Space
from subgraphs.integrations.inbox.group_commit import GroupCommit
from subgraphs.integrations.inbox.store import NewWebhook
from subgraphs.kernel.errors import Unavailable
from subgraphs.kernel.ids import new_id

ONE, OTHER, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)


def webhook(site_id: UUID = ONE, *, body: bytes = b"{}", error: str | None = None) -> NewWebhook:
    return NewWebhook(
        id=new_id(),
        account_id=uuid4(),
        site_id=site_id,
        integration_id=uuid4(),
        delivery_id=uuid4().hex,
        event_id=None,
        topic="orders/create",
        body=body,
        error=error,
    )


class Inbox:
    """Stands for the table: it stores each group when the test lets it.

    Attributes:
        poison: the webhook that no group can be stored with.
    """

    def __init__(self) -> None:
        self.groups: list[list[NewWebhook]] = []
        self.known: set[UUID] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.poison: NewWebhook | None = None
        self.error: Exception | None = None
        self.woken = 0

    async def insert(self, webhooks: Sequence[NewWebhook]) -> set[UUID]:
        await self.open.wait()
        if self.error:
            raise self.error
        if self.poison in webhooks:
            raise ValueError("invalid")
        self.groups.append(list(webhooks))
        return {one.id for one in webhooks} - self.known

    def wake(self) -> None:
        self.woken += 1

    def commit(self, seconds: float = 5.0) -> GroupCommit:
        return GroupCommit(self.insert, self.wake, seconds=seconds)


async def test_what_arrives_in_one_turn_is_one_group_and_one_wake_up() -> None:
    inbox, webhooks = Inbox(), [webhook() for _ in range(20)]
    commit = inbox.commit()
    inbox.known = {webhooks[3].id}

    results = await asyncio.gather(*(commit.store(one) for one in webhooks))

    assert results == [number != 3 for number in range(20)]
    assert inbox.groups == [webhooks]
    assert inbox.woken == 1


async def test_while_a_group_is_stored_the_next_one_gathers() -> None:
    inbox, webhooks = Inbox(), [webhook() for _ in range(9)]
    commit = inbox.commit()
    inbox.open.clear()
    results = [commit.store(one) for one in webhooks[:2]]
    for one in webhooks[2:]:
        await asyncio.sleep(0)
        results.append(commit.store(one))
    inbox.open.set()

    assert await asyncio.gather(*results) == [True] * 9
    assert inbox.groups == [webhooks[:2], webhooks[2:]]


async def test_what_needs_no_processing_wakes_nobody() -> None:
    inbox, known = Inbox(), webhook()
    commit = inbox.commit()
    inbox.known = {known.id}

    is_new = [commit.store(known), commit.store(webhook(error="no JSON"))]
    results = await asyncio.gather(*is_new)

    assert results == [False, True]
    assert inbox.woken == 0


async def test_a_webhook_that_cannot_be_stored_fails_alone() -> None:
    inbox, webhooks = Inbox(), [webhook() for _ in range(10)]
    inbox.poison = webhooks[6]
    commit = inbox.commit()

    results = await asyncio.gather(*(commit.store(one) for one in webhooks), return_exceptions=True)

    assert isinstance(results.pop(6), ValueError)
    assert results == [True] * 9
    assert [one for group in inbox.groups for one in group] == webhooks[:6] + webhooks[7:]


async def test_a_store_that_is_away_fails_the_group_at_once_and_the_next_one_is_stored() -> None:
    inbox = Inbox()
    inbox.error = ConnectionRefusedError()
    commit = inbox.commit()

    results = await asyncio.gather(
        *(commit.store(webhook()) for _ in range(3)), return_exceptions=True
    )
    inbox.error = None

    assert [type(result) for result in results] == [ConnectionRefusedError] * 3
    assert await commit.store(webhook())


async def test_a_store_that_hangs_fails_the_group_in_time() -> None:
    inbox = Inbox()
    inbox.open.clear()

    with pytest.raises(TimeoutError):
        await inbox.commit(seconds=0.05).store(webhook())


async def test_a_request_that_gave_up_is_not_stored() -> None:
    inbox, one, late = Inbox(), webhook(), webhook()
    commit = inbox.commit()
    inbox.open.clear()
    first, second = commit.store(one), commit.store(late)
    await asyncio.sleep(0)
    third = commit.store(webhook())
    third.cancel()
    inbox.open.set()

    assert (await first, await second) == (True, True)
    await asyncio.sleep(0.01)
    assert inbox.groups == [[one, late]]


async def test_a_site_with_a_long_queue_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_GROUP", 4)
    inbox = Inbox()
    commit = inbox.commit()
    flood, quiet = [webhook() for _ in range(12)], webhook(OTHER)

    await asyncio.gather(*(commit.store(one) for one in [*flood, quiet]))

    assert inbox.groups[0] == [flood[0], quiet, *flood[1:3]]
    assert [one for group in inbox.groups for one in group if one.site_id == ONE] == flood


def test_a_group_ends_at_its_size_in_bytes() -> None:
    queue: FairQueue[int] = FairQueue()
    for number in range(5):
        queue.put(ONE, number, 100)

    assert queue.take(10, 250) == [0, 1, 2]
    assert queue.take(10, 250) == [3, 4]
    assert not queue


def test_a_site_that_fills_the_space_is_refused_before_others() -> None:
    space = Space(1_200)
    for _ in range(6):
        space.take(ONE, 100)
    with pytest.raises(Unavailable):
        space.take(ONE, 100)

    for _ in range(3):
        space.take(OTHER, 100)
    with pytest.raises(Unavailable):
        space.take(OTHER, 100)
    space.take(THIRD, 100)


def test_space_that_is_given_back_can_be_taken_again() -> None:
    space = Space(200)
    for _ in range(3):
        space.take(ONE, 100)
        space.give_back(ONE, 100)
    space.take(OTHER, 100)
    with pytest.raises(Unavailable):
        space.take(ONE, 100)
