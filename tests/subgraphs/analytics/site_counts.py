"""Helpers of tests of counts: insert raw events, and query counts as the router does."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from subgraphs.analytics.clickhouse import raw_events
from subgraphs.analytics.clickhouse.raw_events import RawEvent
from subgraphs.analytics.schema import schema
from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.ids import new_id
from tests.fixtures.graph import Answer, run
from tests.fixtures.shop import Shop

START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=20)
END = START + timedelta(days=1)
RANGE = {"start": START.isoformat(), "end": END.isoformat()}
EUR: dict[str, Any] = {"currency": "EUR"}
VND: dict[str, Any] = {"currency": "VND"}

GROUPS = """
query($sites: [_Any!]!, $start: DateTime!, $end: DateTime!, $by: GroupBy, $metrics: [Metric!],
      $top: Int = 10, $granularity: Granularity! = DAY) {
  _entities(representations: $sites) {
    ... on Site {
      analytics(start: $start, end: $end, granularity: $granularity, groupBy: $by,
                metrics: $metrics, topGroups: $top) {
        totals { shown clicked orders }
        revenue { amountMinor currency }
        groups {
          key totals { shown clicked } revenue { amountMinor currency }
          notification { id } variant { id }
          points { start counters { shown } revenue { amountMinor } }
        }
        other { totals { shown clicked orders } revenue { amountMinor currency } }
      }
    }
  }
}"""


async def send(
    document: str, viewer: Viewer, *entities: dict[str, Any], **variables: Any
) -> Answer:
    """Execute a document for entities, as the router does."""
    return await run(schema, viewer, document, sites=list(entities), **variables)


def site(site_id: UUID) -> dict[str, Any]:
    return {"__typename": "Site", "id": str(site_id)}


def notification(id_: UUID, site_id: UUID) -> dict[str, Any]:
    """The representation that the router sends: the key, and the fields that `stats` requires."""
    return {"__typename": "Notification", "id": str(id_), "site": site(site_id)}


async def insert_events(shop: Shop | UUID, metric: str, times: int = 1, **fields: Any) -> None:
    """Insert raw events of one metric, by default an hour after START."""
    site_id = shop if isinstance(shop, UUID) else shop.site_id
    at = fields.pop("at", START + timedelta(hours=1))
    rows = [
        RawEvent(
            site_id=site_id,
            metric=metric,
            occurred_at=at,
            id=new_id(),
            claim_id=None,
            captured_at=at,
            **{"notification_id": None, **fields},
        )
        for _ in range(times)
    ]
    await raw_events.insert(rows)


def first(answer: Answer, field: str) -> Any:
    """A field of the first entity, after the answer was checked for errors."""
    assert answer.codes == []
    return answer.data["_entities"][0][field]


def money(amount: int, currency: str = "EUR") -> dict[str, Any]:
    return {"amountMinor": amount, "currency": currency}


@contextmanager
def recorded_queries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The queries that ClickHouse receives in the block; it answers them."""
    queries: list[str] = []
    send = AsyncClient.query

    async def query(self: Any, statement: str, *args: Any, **kwargs: Any) -> Any:
        queries.append(statement)
        return await send(self, statement, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(AsyncClient, "query", query)
        yield queries
