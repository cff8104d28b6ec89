"""Any order, batching and repetition of events make one conversion."""

import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subgraphs.analytics.pipeline.attribute import WINDOW
from subgraphs.kernel.identity.viewer import Viewer
from tests.fixtures.active_shop import new_owner
from tests.subgraphs.analytics.pipeline.test_attribution import (
    conversions_of,
    numbers_of,
    process,
    redis_counters,
    shop_with_claims,
)

pytestmark = pytest.mark.usefixtures("stores")


_owners: list[Viewer] = []


async def shared_owner() -> Viewer:
    if not _owners:
        _owners.append(await new_owner())
    return _owners[0]


_touch = st.tuples(
    st.sampled_from(["shown", "clicked", "withheld", "dismissed"]),
    st.integers(-60, 1500),
    st.integers(0, 1),
)


@given(touches=st.lists(_touch, max_size=8), seed=st.integers(0, 999), batch_size=st.integers(1, 5))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_order_batching_and_repetition_make_one_conversion(
    touches: list[tuple[str, int, int]], seed: int, batch_size: int
) -> None:
    """The touches known when the order arrives decide; repetitions change nothing."""
    shop, dice = await shop_with_claims(await shared_owner()), random.Random(seed)
    order = shop.order()
    events = [shop.touch(what, timedelta(minutes=ago), claim) for what, ago, claim in touches]
    shuffled = dice.sample([*events, order], len(events) + 1)

    await process(*shuffled, limit=batch_size)
    once = await conversions_of(shop.shop)
    await process(*dice.sample(shuffled, len(shuffled)), limit=batch_size)

    assert await conversions_of(shop.shop) == once
    assert len(once) <= 1
    assert sum((await redis_counters(shop.shop)).values()) == len(once)
    counted = {name: n for name, n in (await numbers_of(shop.shop)).items() if "converted" in name}
    assert counted == await redis_counters(shop.shop)
    if all(position < shuffled.index(order) for position in map(shuffled.index, events)):
        assert [one.arm for one in once] == expected_arm(touches)


def expected_arm(touches: list[tuple[str, int, int]]) -> list[str]:
    inside = {what for what, ago, _ in touches if 0 <= ago < WINDOW / timedelta(minutes=1)}
    strongest = [arm for what, arm in ARMS if what in inside]
    return strongest[:1]


ARMS = (("clicked", "clicked"), ("shown", "shown"), ("withheld", "held_out"))
