"""What tests of numbers share: having things happen in ClickHouse, and asking for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from subgraphs.analytics.clickhouse import store
from subgraphs.analytics.clickhouse.store import RawEvent
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


async def ask(document: str, viewer: Viewer, *entities: dict[str, Any], **more: Any) -> Answer:
    return await run(schema, viewer, document, sites=list(entities), **more)


def site(site_id: UUID) -> dict[str, Any]:
    return {"__typename": "Site", "id": str(site_id)}


def notification(id_: UUID, site_id: UUID) -> dict[str, Any]:
    """As the router asks, with what `stats` requires."""
    return {"__typename": "Notification", "id": str(id_), "site": site(site_id)}


async def happen(shop: Shop | UUID, metric: str, times: int = 1, **fields: Any) -> None:
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
    await store.add(rows)


def first(answer: Answer, field: str) -> Any:
    assert answer.codes == []
    return answer.data["_entities"][0][field]


def money(amount: int, currency: str = "EUR") -> dict[str, Any]:
    return {"amountMinor": amount, "currency": currency}


@contextmanager
def counted_queries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What ClickHouse is asked meanwhile; it answers all the same."""
    seen: list[str] = []
    asked = AsyncClient.query

    async def query(self: Any, statement: str, *args: Any, **kwargs: Any) -> Any:
        seen.append(statement)
        return await asked(self, statement, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(AsyncClient, "query", query)
        yield seen
