"""The rows that the step `write_raw_events` inserts into ClickHouse."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from subgraphs.analytics.clickhouse.raw_events import RawEvent
from subgraphs.analytics.ledger import NotificationEvent
from subgraphs.analytics.pipeline import write_raw_events
from subgraphs.analytics.pipeline.batch import Batch, Item
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.streams.envelope import Event
from subgraphs.kernel.streams.interface import Entry

THEN = datetime(2026, 11, 2, 8, tzinfo=UTC)
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
ID, SITE, ACCOUNT, NOTIFICATION, CLAIM, VARIANT = (new_id() for _ in range(6))


def source_event(kind: str, payload: dict[str, Any]) -> Event:
    return Event(
        id=ID,
        site_id=SITE,
        account_id=ACCOUNT,
        type=kind,
        occurred_at=THEN,
        captured_at=NOW,
        source="test",
        payload=payload,
    )


def notification_event(kind: str, **more: Any) -> NotificationEvent:
    return NotificationEvent(THEN, ID, ACCOUNT, SITE, NOTIFICATION, CLAIM, kind, NOW, **more)


def row(metric: str, claim: UUID | None = None, **more: Any) -> RawEvent:
    notification = NOTIFICATION if claim else None
    return RawEvent(SITE, metric, THEN, ID, notification, claim, NOW, **more)


def rows_of(
    *events: Event, notification_events: tuple[NotificationEvent, ...] = ()
) -> list[RawEvent]:
    batch = Batch([Item(Entry("1-0", b"", 1), event) for event in events])
    batch.notification_events = list(notification_events)
    return write_raw_events.rows_of(batch)


def test_orders_and_views_count_and_other_source_events_do_not() -> None:
    dimensions: dict[str, Any] = {"page": "/hats", "device": "mobile", "country": "DE"}

    assert rows_of(
        source_event("order.created", {"total": 5}),
        source_event("page.viewed", {**dimensions, "bot": None}),
        source_event("page.viewed", {"page": None, "device": 7}),
        source_event("order.cancelled", {}),
    ) == [row("orders"), row("page_views", **dimensions), row("page_views")]


def test_notification_events_count_with_all_their_dimensions() -> None:
    dimensions = {"page": "/", "device": "desktop", "country": "NL", "variant_id": VARIANT}

    found = rows_of(
        notification_events=(
            notification_event("shown", **dimensions),
            notification_event("clicked"),
        )
    )

    assert found == [row("shown", CLAIM, **dimensions), row("clicked", CLAIM)]


@pytest.mark.parametrize(
    ("arm", "metric"),
    [
        ("clicked", "converted"),
        ("shown", "converted_shown"),
        ("held_out", "converted_held_out"),
    ],
)
def test_a_conversion_counts_for_its_arm(arm: str, metric: str) -> None:
    order = {"revenue_minor": 1999, "currency": "EUR"}

    assert rows_of(notification_events=(notification_event("converted", arm=arm, **order),)) == [
        row(metric, CLAIM, amount_minor=1999, currency="EUR")
    ]
