"""ClickHouse's counts equal the ledger's, with repeated, late and differently batched events."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from subgraphs.analytics.clickhouse import hours, rollups
from subgraphs.analytics.clickhouse.counts import get_counts, get_totals
from subgraphs.analytics.clickhouse.metrics import Dimension, Granularity
from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.analytics.pipeline.write_raw_events import write_raw_events
from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.ids import derived_id
from subgraphs.kernel.streams.envelope import Event, encode
from subgraphs.kernel.streams.interface import Entry
from tests.fixtures.active_shop import ActiveShop, new_owner, open_shop
from tests.fixtures.cells import cells
from tests.workers.stream.ledgers import rows
from workers.rollups import roll_up_all
from workers.stream.steps import STEPS

pytestmark = pytest.mark.usefixtures("stores")

HOURS = 30
"""How far back events lie: past midnight, so that there is a complete day to roll up."""

START = hours.start_of_hour(datetime.now(UTC)) - timedelta(hours=HOURS)


class Occurrence(NamedTuple):
    """An event to send, for the first time or again, perhaps with other dimensions."""

    number: int
    kind: str
    minutes: int
    """After START."""
    page: str
    device: str
    country: str


class Roll(NamedTuple):
    """Hours to roll up, closed or open; None for all that are due. Never the current hour: its
    writers do not expect it to be closed."""

    hours: tuple[int, ...] | None


OCCURRENCES = st.builds(
    Occurrence,
    st.integers(0, 1),
    st.sampled_from(["order", "view", "shown", "clicked", "dismissed", "withheld"]),
    st.sampled_from([0, 59, 60, 1440, 60 * HOURS - 1]),
    st.sampled_from(["/", "/hats"]),
    st.sampled_from(["mobile", "desktop", ""]),
    st.sampled_from(["DE", "NL", ""]),
)
ROLLS = st.builds(Roll, st.none() | st.lists(st.integers(0, HOURS - 2), max_size=4).map(tuple))


@pytest.fixture(scope="module")
async def owner() -> Viewer:
    return await new_owner()


HATS = Occurrence(0, "view", 0, "/hats", "mobile", "DE")
BOUGHT = Occurrence(1, "order", 60, "", "", "")
CLICKED = Occurrence(1, "clicked", 59, "/hats", "mobile", "DE")


@example(steps=[[HATS, CLICKED], Roll(None), [HATS._replace(page="/")], Roll((0,))])
@example(steps=[[CLICKED, BOUGHT], Roll(None), [CLICKED._replace(kind="withheld"), BOUGHT]])
@given(
    steps=st.lists(st.lists(OCCURRENCES, min_size=1, max_size=8) | ROLLS, min_size=1, max_size=7)
)
@settings(
    max_examples=7,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_clickhouse_counts_equal_the_ledgers(
    owner: Viewer, steps: list[list[Occurrence] | Roll]
) -> None:
    shop = await open_shop(owner)
    first = [shop.order(99, placed=START)]
    claim_id = shop.claim_id(first[0])
    await process(first)

    for step in steps:
        if isinstance(step, Roll):
            await roll(step)
        else:
            await process([event_of(shop, occurrence, claim_id) for occurrence in step])

    await assert_same_counts(shop, (None, Dimension.PAGE))
    await roll_up_all()
    await assert_same_counts(shop, tuple(Dimension))


def event_of(shop: ActiveShop, occurrence: Occurrence, claim_id: UUID) -> Event:
    """The event of an occurrence; number, kind and time identify it."""
    at = START + timedelta(minutes=occurrence.minutes)
    dimensions = {
        "page": occurrence.page,
        "device": occurrence.device,
        "country": occurrence.country,
    }
    visitor = f"visitor-{occurrence.number}"
    if occurrence.kind == "order":
        money = {
            "amountMinor": 100 + occurrence.number,
            "currency": ["EUR", "JPY"][occurrence.number % 2],
        }
        order = shop.order(occurrence.number, placed=at)
        payload = {**order.payload, "total": money}
        return msgspec.structs.replace(order, visitor_id=visitor, payload=payload)
    seen = shop.claim_event(occurrence.kind, claim_id, at=at)
    kind = "page.viewed" if occurrence.kind == "view" else seen.type
    payload = dimensions if occurrence.kind == "view" else {"claimId": str(claim_id), **dimensions}
    return msgspec.structs.replace(
        seen,
        id=derived_id(at, shop.site_id, occurrence.kind, occurrence.number),
        type=kind,
        visitor_id=visitor,
        payload=payload,
    )


async def process(events: Sequence[Event]) -> None:
    """One batch, through the steps that write to the ledger and to ClickHouse."""
    batch = Batch.of([Entry(f"{n}-0", encode(event), 1) for n, event in enumerate(events)])
    STEPS.read(batch)
    await STEPS.record(batch)
    await write_raw_events(batch)


async def roll(step: Roll) -> None:
    if step.hours is None:
        await roll_up_all()
    else:
        await rollups.roll({START + timedelta(hours=hour) for hour in step.hours})


async def assert_same_counts(shop: ActiveShop, dimensions: Sequence[Dimension | None]) -> None:
    sites, start = [shop.site_id], START.replace(hour=0)
    end = start + timedelta(days=4)
    for by in dimensions:
        expected = await ledger_counts(shop, by)
        by_hour = cells(
            await get_counts(sites, start, end, granularity=Granularity.HOUR, dimension=by)
        )
        by_day = cells(
            await get_counts(sites, start, end, granularity=Granularity.DAY, dimension=by)
        )
        sums = await get_totals(sites, START, end, dimension=by)
        assert {(it.start, it.metric, it.key): it.value for it in by_hour} == expected
        assert {(it.start, it.metric, it.key): it.value for it in by_day} == in_days(expected)
        assert {(it.metric, it.key): it.value for it in sums} == in_all(expected)
        assert len(by_hour) == len(expected)


Counts = dict[tuple[datetime, str, str], int]


async def ledger_counts(shop: ActiveShop, dimension: Dimension | None) -> Counts:
    """Hour, metric and key of every row in PostgreSQL, counted; revenue by its currency."""
    key = {
        None: "''",
        Dimension.NOTIFICATION: "notification_id::text",
        Dimension.VARIANT: "variant_id::text",
    }.get(dimension, str(dimension))
    notification_events = await rows(
        f"""SELECT created_at, event_type, coalesce(arm, 'clicked'), {key}, revenue_minor, currency
            FROM notification_events WHERE site_id = :site""",  # noqa: S608
        site=shop.site_id,
    )
    of_dimensions = dimension in (Dimension.PAGE, Dimension.DEVICE, Dimension.COUNTRY)
    key = f"payload->>'{dimension}'" if of_dimensions else "NULL" if dimension else "''"
    source_events = await rows(
        f"SELECT time, event_type, {key} FROM events WHERE site_id = :site",  # noqa: S608
        site=shop.site_id,
    )
    found: Counter[tuple[datetime, str, str]] = Counter()
    for at, kind, value in source_events:
        metric = {"order.created": "orders", "page.viewed": "page_views"}[kind]
        found[hours.start_of_hour(at), metric, value] += 1
    for at, kind, arm, value, revenue, currency in notification_events:
        hour, suffix = hours.start_of_hour(at), "" if arm == "clicked" else f"_{arm}"
        found[hour, f"{kind}{suffix}", value] += 1
        if revenue is not None:
            found[hour, f"revenue{suffix}:{currency}", value] += revenue
    return {key: value for key, value in found.items() if dimension is None or key[2]}


def in_days(counts: Counts) -> Counts:
    days: Counter[tuple[datetime, str, str]] = Counter()
    for (hour, metric, key), value in counts.items():
        days[hour.replace(hour=0), metric, key] += value
    return dict(days)


def in_all(counts: Counts) -> dict[tuple[str, str], int]:
    sums: Counter[tuple[str, str]] = Counter()
    for (_, metric, key), value in counts.items():
        sums[metric, key] += value
    return dict(sums)
