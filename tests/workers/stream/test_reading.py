"""The reading steps: which events of a batch continue, and why others are dropped."""

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
    """A visitor's click, with changes."""
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
def test_known_types_continue(type_: str) -> None:
    assert drops_of(event(type=type_)) == [None]


@pytest.mark.parametrize("type_", ["claim.retracted", "claim.praised", "order.created ", "", "x"])
def test_unknown_types_are_dropped(type_: str) -> None:
    assert drops_of(event(type=type_)) == [Drop.UNKNOWN_TYPE]


def test_times_are_truncated_to_milliseconds() -> None:
    late = NOW.replace(microsecond=999_999)
    batch = batch_of(event(occurred_at=late, captured_at=late))

    STEPS.read(batch)

    (kept,) = batch.events
    assert (kept.occurred_at, kept.captured_at) == (NOW + 999 * MS, NOW + 999 * MS)


def test_an_event_in_milliseconds_is_not_copied() -> None:
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
def test_an_event_too_far_from_its_capture_is_dropped(
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
        ("a rule of a newer version", Drop.BOT_CRAWLER),
        (None, None),
    ],
)
def test_an_event_that_ingest_marked_as_a_bots_is_dropped(
    rule: str | None, drop: Drop | None
) -> None:
    assert drops_of(event(payload={"claimId": str(UUID(int=4)), "bot": rule})) == [drop]


def test_a_shops_event_is_never_a_bots() -> None:
    order = event(type="order.created", source="shopify", payload={"bot": "crawler"})
    assert drops_of(order) == [None]


def counted(rate: BotRate, *events: Event, first: int = 0) -> int:
    """The number of events that continue."""
    batch = batch_of(*events, first=first)
    decode(batch)
    drop_bots(batch, rate)
    assert {item.drop for item in batch.items} <= {None, Drop.BOT_TOO_FAST}
    return len(batch.events)


def test_a_visitors_events_above_the_rate_are_dropped() -> None:
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


def test_the_number_of_stored_visitors_is_limited() -> None:
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


def test_the_first_of_equal_events_continues() -> None:
    first = event()
    again = msgspec.structs.replace(first, captured_at=NOW + timedelta(seconds=9), visitor_id="x")
    finer = msgspec.structs.replace(first, occurred_at=NOW + timedelta(microseconds=3))
    other_time = msgspec.structs.replace(first, occurred_at=NOW + MS)
    other_type = msgspec.structs.replace(first, type="claim.shown")
    other_site = msgspec.structs.replace(first, site_id=UUID(int=9))

    drops = drops_of(first, again, finer, other_time, other_type, other_site)

    assert drops == [None, Drop.DUPLICATE, Drop.DUPLICATE, None, None, None]
