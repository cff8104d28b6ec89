"""The steps before the stores: what of a batch goes on, and why the rest does not."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from subgraphs.analytics.pipeline.batch import Batch, Drop
from subgraphs.analytics.pipeline.check_timestamps import check_timestamps
from subgraphs.analytics.pipeline.decode import decode
from subgraphs.analytics.pipeline.drop_bots import MAX_VISITORS, PER_MINUTE, BotRate, drop_bots
from subgraphs.kernel.streams.envelope import Event, encode
from subgraphs.kernel.streams.interface import Entry
from workers.stream.steps import STEPS

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def event(number: int = 1, **changes: Any) -> Event:
    """A visitor's click, unless told otherwise."""
    clicked = Event(
        id=UUID(int=number),
        site_id=UUID(int=2),
        account_id=UUID(int=3),
        type="claim.clicked",
        occurred_at=NOW,
        captured_at=NOW,
        source="snippet",
        visitor_id="visitor",
        payload={"claimId": str(UUID(int=4)), "page": "/shoes"},
    )
    return msgspec.structs.replace(clicked, **changes)


def batch_of(*events: Event, first: int = 0) -> Batch:
    return Batch.of(
        [Entry(f"{n}-0", encode(event), 1) for n, event in enumerate(events, start=first)]
    )


def drops_of(*events: Event) -> list[Drop | None]:
    batch = batch_of(*events)
    STEPS.read(batch)
    return [item.drop for item in batch.items]


SOURCE_TYPES = (
    "order.created",
    "order.refunded",
    "signup.created",
    "review.created",
    "stock.changed",
    "page.viewed",
    "goal.reached",
)
CLAIM_TYPES = ("claim.shown", "claim.clicked", "claim.dismissed", "claim.withheld")


@pytest.mark.parametrize("type_", [*SOURCE_TYPES, *CLAIM_TYPES])
def test_the_known_types_go_on(type_: str) -> None:
    assert drops_of(event(type=type_)) == [None]


@pytest.mark.parametrize("type_", ["claim.retracted", "claim.praised", "order.created ", "", "x"])
def test_an_unknown_type_does_not(type_: str) -> None:
    assert drops_of(event(type=type_)) == [Drop.UNKNOWN_TYPE]


def test_times_are_cut_to_milliseconds() -> None:
    late = NOW.replace(microsecond=999_999)
    batch = batch_of(event(occurred_at=late, captured_at=late))

    STEPS.read(batch)

    (kept,) = batch.events
    assert (kept.occurred_at, kept.captured_at) == (NOW + 999 * MS, NOW + 999 * MS)


def test_what_needs_no_cut_is_left_as_it_is() -> None:
    batch = batch_of(event())
    decode(batch)
    before = batch.items[0].event

    check_timestamps(batch)

    assert batch.items[0].event is before


@pytest.mark.parametrize(
    ("type_", "source", "age", "drop"),
    [
        ("claim.shown", "snippet", timedelta(hours=24), None),
        ("claim.shown", "snippet", timedelta(hours=24) + MS, Drop.IMPLAUSIBLE_TIME),
        ("claim.shown", "snippet", -timedelta(minutes=5), None),
        ("claim.shown", "snippet", -timedelta(minutes=5) - MS, Drop.IMPLAUSIBLE_TIME),
        ("claim.shown", "elsewhere", timedelta(days=2), Drop.IMPLAUSIBLE_TIME),
        ("page.viewed", "snippet", timedelta(days=2), Drop.IMPLAUSIBLE_TIME),
        ("order.created", "shopify", timedelta(days=2), None),
        ("order.created", "shopify", timedelta(days=5 * 365) - MS, None),
        ("order.created", "shopify", timedelta(days=5 * 365), Drop.IMPLAUSIBLE_TIME),
        ("order.created", "shopify", -timedelta(hours=1) + MS, None),
        ("order.created", "shopify", -timedelta(hours=1), Drop.IMPLAUSIBLE_TIME),
    ],
)
def test_what_happened_too_long_before_or_after_it_came_is_dropped(
    type_: str, source: str, age: timedelta, drop: Drop | None
) -> None:
    old = event(type=type_, source=source, occurred_at=NOW - age)
    assert drops_of(old) == [drop]


@pytest.mark.parametrize(
    ("rule", "drop"),
    [
        ("no_agent", Drop.BOT_NO_AGENT),
        ("not_a_browser", Drop.BOT_NOT_A_BROWSER),
        ("crawler", Drop.BOT_CRAWLER),
        ("a rule of a newer door", Drop.BOT_CRAWLER),
        (None, None),
    ],
)
def test_what_the_door_took_for_a_machine_is_dropped_by_the_rule(
    rule: str | None, drop: Drop | None
) -> None:
    assert drops_of(event(payload={"claimId": str(UUID(int=4)), "bot": rule})) == [drop]


def test_what_a_shop_says_is_no_machines() -> None:
    order = event(type="order.created", source="shopify", payload={"bot": "crawler"})
    assert drops_of(order) == [None]


def counted(rate: BotRate, *events: Event, first: int = 0) -> int:
    """How many go on."""
    batch = batch_of(*events, first=first)
    decode(batch)
    drop_bots(batch, rate)
    assert {item.drop for item in batch.items} <= {None, Drop.BOT_TOO_FAST}
    return len(batch.events)


def test_of_one_visitor_so_many_count_in_a_minute() -> None:
    rate = BotRate()
    first = [event(n) for n in range(PER_MINUTE - 10)]
    more = [event(n) for n in range(1000, 1020)]
    others = [event(n, visitor_id="another") for n in range(2000, 2020)]
    elsewhere = [event(n, site_id=UUID(int=9)) for n in range(3000, 3020)]
    nobody = [event(n, visitor_id=None) for n in range(4000, 4500)]
    next_minute = [event(n, captured_at=NOW + timedelta(minutes=1)) for n in range(5000, 5020)]

    assert counted(rate, *first) == PER_MINUTE - 10
    assert counted(rate, *more, first=200) == 10
    assert counted(rate, *others, *elsewhere, *nobody, first=300) == 540
    assert counted(rate, *next_minute, first=900) == 20


def test_the_memory_of_visitors_has_an_end() -> None:
    rate = BotRate()
    crowd = [event(n, visitor_id=str(n)) for n in range(1000)]
    for turn in range(MAX_VISITORS // 1000 + 1):
        batch = batch_of(*crowd, first=turn * 1000)
        for item, visitor in zip(batch.items, crowd, strict=True):
            name = f"{turn}-{visitor.visitor_id}"
            item.event = msgspec.structs.replace(visitor, visitor_id=name)
        rate.drop_too_fast(batch)
        assert len(batch.events) == 1000

    assert len(rate._counts) <= MAX_VISITORS


def test_of_the_same_events_in_a_batch_the_first_goes_on() -> None:
    first = event()
    again = msgspec.structs.replace(first, captured_at=NOW + timedelta(seconds=9), visitor_id="x")
    finer = msgspec.structs.replace(first, occurred_at=NOW + timedelta(microseconds=3))
    other_time = msgspec.structs.replace(first, occurred_at=NOW + MS)
    other_type = msgspec.structs.replace(first, type="claim.shown")
    other_site = msgspec.structs.replace(first, site_id=UUID(int=9))

    drops = drops_of(first, again, finer, other_time, other_type, other_site)

    assert drops == [None, Drop.DUPLICATE, Drop.DUPLICATE, None, None, None]
