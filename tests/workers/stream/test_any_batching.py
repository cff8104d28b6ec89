"""Any batching, repetition and crashes of the stream worker leave the same state."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.streams.interface import Entry, Lag
from tests.fixtures.active_shop import new_owner, open_shop
from tests.workers.stream.ledgers import claim_ids, new_stream, state_of
from tests.workers.stream.test_stream_worker import STAGES, expected, orders_of
from workers.stream.main import GROUP, work
from workers.stream.steps import STEPS

pytestmark = pytest.mark.usefixtures("stores")


@given(data=st.data())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_batching_repetition_and_crashes_leave_the_same_state(
    data: st.DataObject,
) -> None:
    shop, stream = await open_shop(await shared_owner()), await new_stream()
    orders = orders_of(shop, data.draw(st.integers(1, 6), label="orders"))
    ids = claim_ids(shop, orders)
    kinds = st.sampled_from(["shown", "clicked", "dismissed"])
    drawn = data.draw(st.lists(st.tuples(kinds, st.sampled_from(ids)), max_size=8), label="seen")
    seen = [shop.claim_event(kind, claim_id) for kind, claim_id in drawn]
    doubled = data.draw(st.lists(st.sampled_from([*orders, *seen]), max_size=4), label="doubled")
    await stream.append(*orders, *seen, *doubled)
    entries = await stream.consumer.read(limit=500, wait=0)

    position = 0
    while position < len(entries):
        end = data.draw(st.integers(position + 1, len(entries)), label="end")
        back = data.draw(st.integers(0, position), label="from")
        crashes = data.draw(st.lists(st.integers(0, len(STAGES)), max_size=2), label="crashes")
        for done in crashes:
            await crash_after(done, entries[back:end])
        repeats = data.draw(st.integers(1, 2), label="at once")
        await asyncio.gather(*(work(stream.consumer, entries[back:end]) for _ in range(repeats)))
        position = end

    counted: dict[str, int] = {}
    for kind, _ in drawn:
        counted[kind] = counted.get(kind, 0) + 1
    found = await state_of(shop)
    assert found == expected(shop, orders, counted, found)
    assert (await stream.streams.drops(stream.topic)).keys() <= {"duplicate"}
    assert await stream.streams.lag(stream.topic, GROUP) == Lag(0, 0, None, 0)


async def crash_after(done: int, entries: list[Entry]) -> None:
    batch = Batch.of(entries)
    STEPS.read(batch)
    for step in STAGES[:done]:
        await step(batch)


_owners: list[Viewer] = []


async def shared_owner() -> Viewer:
    """One owner for all examples: each sign-up costs a password hash."""
    if not _owners:
        _owners.append(await new_owner())
    return _owners[0]
