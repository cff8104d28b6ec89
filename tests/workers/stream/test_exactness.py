"""ClickHouse counts what the ledger has, exactly: whatever comes again, late, or otherwise cut."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from subgraphs.analytics.clickhouse import rollups, store
from subgraphs.analytics.clickhouse.store import Dimension, Step
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
"""How far back things happen: over a day's end, so that there is a whole day to roll."""

START = store.start_of_hour(datetime.now(UTC)) - timedelta(hours=HOURS)


class Fact(NamedTuple):
    """Something that is told, the first time or again, perhaps in other words."""

    number: int
    kind: str
    minutes: int
    """After START."""
    page: str
    device: str
    country: str


class Roll(NamedTuple):
    """Hours rolled, be they closed or not; None for all that are due. Never the one that runs: its
    writers do not expect it to be closed."""

    hours: tuple[int, ...] | None


FACTS = st.builds(
    Fact,
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


HATS = Fact(0, "view", 0, "/hats", "mobile", "DE")
BOUGHT = Fact(1, "order", 60, "", "", "")
CLICKED = Fact(1, "clicked", 59, "/hats", "mobile", "DE")


@example(steps=[[HATS, CLICKED], Roll(None), [HATS._replace(page="/")], Roll((0,))])
@example(steps=[[CLICKED, BOUGHT], Roll(None), [CLICKED._replace(kind="withheld"), BOUGHT]])
@given(steps=st.lists(st.lists(FACTS, min_size=1, max_size=8) | ROLLS, min_size=1, max_size=7))
@settings(
    max_examples=7,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_counts_are_the_ledger_s(owner: Viewer, steps: list[list[Fact] | Roll]) -> None:
    shop = await open_shop(owner)
    first = [shop.order(99, placed=START)]
    claim_id = shop.claim_id(first[0])
    await take_in(first)

    for step in steps:
        if isinstance(step, Roll):
            await roll(step)
        else:
            await take_in([event_of(shop, fact, claim_id) for fact in step])

    await same_everywhere(shop, (Dimension.TOTAL, Dimension.PAGE))
    await roll_up_all()
    await same_everywhere(shop, tuple(Dimension))


def event_of(shop: ActiveShop, fact: Fact, claim_id: UUID) -> Event:
    """The same number, kind and time are the same event, whatever else is said of it."""
    at = START + timedelta(minutes=fact.minutes)
    place = {"page": fact.page, "device": fact.device, "country": fact.country}
    visitor = f"visitor-{fact.number}"
    if fact.kind == "order":
        money = {"amountMinor": 100 + fact.number, "currency": ["EUR", "JPY"][fact.number % 2]}
        order = shop.order(fact.number, placed=at)
        payload = {**order.payload, "total": money}
        return msgspec.structs.replace(order, visitor_id=visitor, payload=payload)
    seen = shop.seen(fact.kind, claim_id, at=at)
    kind = "page.viewed" if fact.kind == "view" else seen.type
    payload = place if fact.kind == "view" else {"claimId": str(claim_id), **place}
    return msgspec.structs.replace(
        seen,
        id=derived_id(at, shop.site_id, fact.kind, fact.number),
        type=kind,
        visitor_id=visitor,
        payload=payload,
    )


async def take_in(events: Sequence[Event]) -> None:
    """One batch, through the steps that write to the ledger and to ClickHouse."""
    batch = Batch.of([Entry(f"{n}-0", encode(event), 1) for n, event in enumerate(events)])
    STEPS.read(batch)
    await STEPS.record(batch)
    await write_raw_events(batch)


async def roll(what: Roll) -> None:
    if what.hours is None:
        await roll_up_all()
    else:
        await rollups.roll({START + timedelta(hours=hour) for hour in what.hours})


async def same_everywhere(shop: ActiveShop, dimensions: Sequence[Dimension]) -> None:
    sites, start = [shop.site_id], START.replace(hour=0)
    end = start + timedelta(days=4)
    for by in dimensions:
        told = await ledger_counts(shop, by)
        by_hour = cells(await store.counts(sites, start, end, step=Step.HOUR, dimension=by))
        by_day = cells(await store.counts(sites, start, end, step=Step.DAY, dimension=by))
        sums = await store.totals(sites, START, end, dimension=by)
        assert {(it.start, it.metric, it.key): it.value for it in by_hour} == told
        assert {(it.start, it.metric, it.key): it.value for it in by_day} == in_days(told)
        assert {(it.metric, it.key): it.value for it in sums} == in_all(told)
        assert len(by_hour) == len(told)


Counts = dict[tuple[datetime, str, str], int]


async def ledger_counts(shop: ActiveShop, dimension: Dimension) -> Counts:
    """Hour, metric and key of every row in PostgreSQL, counted; revenue by its currency."""
    key = {
        Dimension.TOTAL: "''",
        Dimension.NOTIFICATION: "notification_id::text",
        Dimension.VARIANT: "variant_id::text",
    }.get(dimension, dimension.value)
    notification_events = await rows(
        f"""SELECT created_at, event_type, coalesce(arm, 'clicked'), {key}, revenue_minor, currency
            FROM notification_events WHERE site_id = :site""",  # noqa: S608
        site=shop.site_id,
    )
    of_place = dimension in (Dimension.PAGE, Dimension.DEVICE, Dimension.COUNTRY)
    key = f"payload->>'{dimension}'" if of_place else "NULL" if dimension else "''"
    facts = await rows(
        f"SELECT time, event_type, {key} FROM events WHERE site_id = :site",  # noqa: S608
        site=shop.site_id,
    )
    found: Counter[tuple[datetime, str, str]] = Counter()
    for at, kind, value in facts:
        metric = {"order.created": "orders", "page.viewed": "page_views"}[kind]
        found[store.start_of_hour(at), metric, value] += 1
    for at, kind, arm, value, revenue, currency in notification_events:
        hour, suffix = store.start_of_hour(at), "" if arm == "clicked" else f"_{arm}"
        found[hour, f"{kind}{suffix}", value] += 1
        if revenue is not None:
            found[hour, f"revenue{suffix}:{currency}", value] += revenue
    return {key: value for key, value in found.items() if dimension is Dimension.TOTAL or key[2]}


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
