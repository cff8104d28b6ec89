"""Any order, batching and repetition of events make the same visitor profile."""

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subgraphs.analytics.ledger.sessions import SILENCE
from subgraphs.kernel.identity.viewer import Viewer
from tests.fixtures.active_shop import new_owner, open_shop
from tests.subgraphs.analytics.pipeline.test_sessions import MINUTE, NOW, profiles_of, score, viewed
from tests.workers.stream.ledgers import record
from workers.visitor_profiles import fold_all

pytestmark = pytest.mark.usefixtures("stores")


_owners: list[Viewer] = []


async def shared_owner() -> Viewer:
    if not _owners:
        _owners.append(await new_owner())
    return _owners[0]


@given(
    minutes=st.lists(st.integers(-1000, 0), min_size=1, max_size=25),
    seed=st.integers(0, 999),
    batch_size=st.integers(1, 9),
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_order_batching_and_repetition_make_the_same_profile(
    minutes: list[int], seed: int, batch_size: int
) -> None:
    shop = await open_shop(await shared_owner())
    views = [viewed(shop, NOW + minute * MINUTE, captured_at=NOW) for minute in minutes]
    shuffled = random.Random(seed).sample(views, len(views))

    await record(shuffled, limit=batch_size)
    await fold_all()
    repeated = random.Random(seed + 1).sample(views, len(views) // 2 + 1)
    await record(repeated, limit=batch_size)
    await fold_all()

    times = [view.occurred_at for view in views]
    (profile,) = (await profiles_of(shop)).values()
    assert profile.session_count == len(silences(times)) + 1
    assert profile.views == len(views)
    assert (profile.first_seen_at, profile.last_seen_at) == (min(times), max(times))
    assert math.isclose(profile.behavior_score, score(profile.session_count, views=len(views)))


def silences(times: Sequence[datetime]) -> list[timedelta]:
    """The pauses that end a session."""
    ordered = sorted(times)
    pauses = [after - before for before, after in zip(ordered, ordered[1:], strict=False)]
    return [pause for pause in pauses if pause > SILENCE]
