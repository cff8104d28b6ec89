"""Polls the stores and the GraphQL API, and records when each effect of an event is first visible.

The subscribers record the arrival of claims themselves; see tenants.py.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from tests.chaos.sent_events import ORDERS, PAGE_VIEWS, SentEvents
from tests.chaos.tenants import Tenant

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_RESPONSE_SECONDS = 3.0
_MAX_IDS = 1000
"""Number of events in one query."""

_CLOCK_MARGIN = timedelta(minutes=1)
"""The queries also find events that occurred this long before the run."""

_EVENTS = """
    SELECT id::text FROM events
    WHERE site_id = ANY($1::uuid[]) AND time > $2 AND id = ANY($3::uuid[])"""
_NOTIFICATION_EVENTS = """
    SELECT id::text FROM notification_events
    WHERE site_id = ANY($1::uuid[]) AND created_at > $2 AND id = ANY($3::uuid[])"""
_ORDERS = """
    SELECT payload->>'orderId', id::text FROM events
    WHERE site_id = ANY($1::uuid[]) AND time > $2 AND event_type = 'order.created'
      AND payload->>'orderId' = ANY($3::text[])"""

_SITE_QUERY = "query Site($id: ID!) { site(id: $id) { id } }"


class EffectObserver:
    """Polls PostgreSQL, ClickHouse and the GraphQL API, each in a task of its own.

    Args:
        database_url: with a role that reads the rows of every tenant.
    """

    def __init__(
        self, sent: SentEvents, tenants: Sequence[Tenant], *, database_url: str, clickhouse_url: str
    ) -> None:
        self._sent = sent
        self._tenants = tenants
        self._database_url = database_url
        self._clickhouse_url = clickhouse_url
        self._sites = [tenant.shop.site_id for tenant in tenants]
        self._since = datetime.now(UTC) - _CLOCK_MARGIN
        self.graphql_responses: list[tuple[float, float]] = []
        """Each successful GraphQL query: when it was sent, and when its response arrived."""

    async def run(self) -> None:
        """Poll until cancelled."""
        await asyncio.gather(
            _restart_on_error(self._poll_postgres),
            _restart_on_error(self._poll_clickhouse),
            self._poll_graphql(),
        )

    async def _poll_postgres(self) -> None:
        connection = await asyncpg.connect(
            self._database_url, timeout=_RESPONSE_SECONDS, command_timeout=_RESPONSE_SECONDS
        )
        try:
            while True:
                await self._read_postgres(connection)
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            connection.terminate()

    async def _read_postgres(self, connection: asyncpg.Connection) -> None:
        pending = [it for it in self._sent.pending() if it.stored_at is None][:_MAX_IDS]
        orders = {it.key: it for it in pending if it.metric == ORDERS}
        if orders:
            for key, event_id in await self._rows(connection, _ORDERS, list(orders)):
                orders[key].event_id = event_id
                orders[key].stored_at = time.monotonic()
        views = {it.key: it for it in pending if it.metric == PAGE_VIEWS}
        visits = {it.key: it for it in pending if it.metric not in (ORDERS, PAGE_VIEWS)}
        for query, events in ((_EVENTS, views), (_NOTIFICATION_EVENTS, visits)):
            if events:
                for (key,) in await self._rows(connection, query, [UUID(key) for key in events]):
                    events[key].stored_at = time.monotonic()
        self._match_claims()

    def _match_claims(self) -> None:
        """Copy the arrival times of claims from the subscribers to the orders."""
        claimed_at = {tenant.shop.site_id: tenant.claimed_at for tenant in self._tenants}
        for event in self._sent.pending():
            if event.metric == ORDERS and event.event_id and event.claimed_at is None:
                event.claimed_at = claimed_at[event.site_id].get(event.event_id)

    async def _rows(
        self, connection: asyncpg.Connection, query: str, keys: list[Any]
    ) -> list[asyncpg.Record]:
        return await connection.fetch(query, self._sites, self._since, keys)

    async def _poll_clickhouse(self) -> None:
        async with httpx.AsyncClient(timeout=_RESPONSE_SECONDS) as client:
            while True:
                pending = [it for it in self._sent.pending() if it.counted_at is None]
                ids = [it.event_id for it in pending if it.event_id]
                if ids:
                    found = set(await self._ids_in_clickhouse(client, ids[:_MAX_IDS]))
                    now = time.monotonic()
                    for event in pending:
                        if event.event_id in found:
                            event.counted_at = now
                await asyncio.sleep(_POLL_SECONDS)

    async def _ids_in_clickhouse(self, client: httpx.AsyncClient, ids: Sequence[str]) -> list[str]:
        """Those of the ids that ClickHouse has."""
        query = f"""
            SELECT toString(id) FROM raw_events WHERE site_id IN ({_sql_list(self._sites)})
            AND occurred_at > toDateTime({int(self._since.timestamp())})
            AND id IN ({_sql_list(ids)}) FORMAT TabSeparated"""  # noqa: S608
        response = await client.post(
            self._clickhouse_url, params={"database": "proofgraph"}, content=query
        )
        return response.raise_for_status().text.split()

    async def _poll_graphql(self) -> None:
        merchant, shop = self._tenants[0].merchant, self._tenants[0].shop
        while True:
            requested_at = time.monotonic()
            try:
                async with asyncio.timeout(_RESPONSE_SECONDS):
                    await merchant.execute(_SITE_QUERY, {"id": shop.site_id})
                self.graphql_responses.append((requested_at, time.monotonic()))
            except Exception:  # noqa: S110  (every failure counts as a missing response)
                pass
            await asyncio.sleep(_POLL_SECONDS)


def _sql_list(ids: Sequence[str]) -> str:
    return ", ".join(f"'{id_}'" for id_ in ids)


async def _restart_on_error(poll: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await poll()
        except Exception as error:  # the driver's errors vary when its server is killed
            log.info("poll restarts error=%r", error)
            await asyncio.sleep(_POLL_SECONDS)
