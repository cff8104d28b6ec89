import time
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.kernel.ids import derived_id, moment_of, new_id

MOMENTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001  (hypothesis wants naive bounds)
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def test_a_new_id_is_version_7_with_the_current_time() -> None:
    before = datetime.now(UTC)

    made = new_id()

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert abs(moment_of(made) - before) < timedelta(seconds=1)


@given(MOMENTS, st.text(), st.text())
def test_a_derived_id_depends_on_the_moment_and_on_every_part(
    moment: datetime, one: str, two: str
) -> None:
    made = derived_id(moment, one, two)

    assert made == derived_id(moment, one, two)
    assert made.version == 7
    assert made != derived_id(moment, one, two + "x")
    assert made != derived_id(moment + timedelta(milliseconds=1), one, two)
    assert timedelta(0) <= moment - moment_of(made) <= timedelta(milliseconds=1)


@given(MOMENTS, st.integers(min_value=1, max_value=10**9))
def test_ids_sort_by_their_moment(moment: datetime, milliseconds: int) -> None:
    later = moment + timedelta(milliseconds=milliseconds)

    assert derived_id(moment, "a") < derived_id(later, "a")


def test_parts_are_separated() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)

    assert derived_id(moment, "ab", "c") != derived_id(moment, "a", "bc")
    assert derived_id(moment, UUID(int=1)) == derived_id(moment, str(UUID(int=1)))


def test_new_ids_sort_in_the_order_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    every_quarter_of_a_microsecond = count(1_800_000_000_000_000_000, 245)
    monkeypatch.setattr(time, "time_ns", every_quarter_of_a_microsecond.__next__)

    made = [new_id() for _ in range(5_000)]

    assert made == sorted(made)
    assert (moment_of(made[-1]) - moment_of(made[0])) == timedelta(milliseconds=1)
