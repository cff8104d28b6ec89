"""Looks for the effects of what was acknowledged, and notes when each was first seen."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from tests.chaos.tenants import Tenant
from tests.chaos.traces import ORDERS, PAGE_VIEWS, Trace, Traces

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
_ANSWER_SECONDS = 3.0
_AT_ONCE = 1000
_MARGIN = timedelta(minutes=1)

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

GRAPH = "query Site($id: ID!) { site(id: $id) { id } }"


class Watch:
    """Three pairs of eyes: on PostgreSQL, on ClickHouse, on the graph.

    Args:
        database_url: as a role that sees every tenant.
    """

    def __init__(
        self, traces: Traces, tenants: Sequence[Tenant], *, database_url: str, clickhouse_url: str
    ) -> None:
        self._traces = traces
        self._tenants = tenants
        self._database_url = database_url
        self._clickhouse_url = clickhouse_url
        self._sites = [tenant.shop.site_id for tenant in tenants]
        self._since = datetime.now(UTC) - _MARGIN
        self.answered: list[tuple[float, float]] = []
        """Of each query to the graph that was answered: when it was asked, when answered."""

    async def run(self) -> None:
        """Look for ever."""
        await asyncio.gather(
            _for_ever(self._watch_postgres), _for_ever(self._watch_clickhouse), self._ask()
        )

    async def _watch_postgres(self) -> None:
        connection = await asyncpg.connect(
            self._database_url, timeout=_ANSWER_SECONDS, command_timeout=_ANSWER_SECONDS
        )
        try:
            while True:
                await self._look_in_postgres(connection)
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            connection.terminate()

    async def _look_in_postgres(self, connection: asyncpg.Connection) -> None:
        waiting = [it for it in self._traces.waiting() if it.stored is None][:_AT_ONCE]
        orders = {it.key: it for it in waiting if it.metric == ORDERS}
        if orders:
            for key, event_id in await self._rows(connection, _ORDERS, list(orders)):
                orders[key].event_id = event_id
                orders[key].stored = time.monotonic()
        for query, wanted in (
            (_EVENTS, {it.key: it for it in waiting if it.metric == PAGE_VIEWS}),
            (
                _NOTIFICATION_EVENTS,
                {it.key: it for it in waiting if it.metric not in (ORDERS, PAGE_VIEWS)},
            ),
        ):
            if wanted:
                for (key,) in await self._rows(connection, query, [UUID(key) for key in wanted]):
                    wanted[key].stored = time.monotonic()
        self._look_at_claims()

    def _look_at_claims(self) -> None:
        claimed = {tenant.shop.site_id: tenant.claimed for tenant in self._tenants}
        for trace in self._traces.waiting():
            if trace.metric == ORDERS and trace.event_id and trace.claimed is None:
                trace.claimed = claimed[trace.site_id].get(trace.event_id)

    async def _rows(
        self, connection: asyncpg.Connection, query: str, keys: list[Any]
    ) -> list[asyncpg.Record]:
        return await connection.fetch(query, self._sites, self._since, keys)

    async def _watch_clickhouse(self) -> None:
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
            while True:
                waiting = [it for it in self._traces.waiting() if it.counted is None]
                ids = [it.event_id for it in waiting if it.event_id]
                if ids:
                    found = set(await self._counted(client, ids[:_AT_ONCE]))
                    now = time.monotonic()
                    _note([it for it in waiting if it.event_id in found], now)
                await asyncio.sleep(_LOOK_SECONDS)

    async def _counted(self, client: httpx.AsyncClient, ids: Sequence[str]) -> list[str]:
        query = f"""
            SELECT toString(id) FROM raw_events WHERE site_id IN ({_listed(self._sites)})
            AND occurred_at > toDateTime({int(self._since.timestamp())})
            AND id IN ({_listed(ids)}) FORMAT TabSeparated"""  # noqa: S608
        answer = await client.post(
            self._clickhouse_url, params={"database": "proofgraph"}, content=query
        )
        return answer.raise_for_status().text.split()

    async def _ask(self) -> None:
        merchant, shop = self._tenants[0].merchant, self._tenants[0].shop
        while True:
            asked = time.monotonic()
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await merchant.execute(GRAPH, {"id": shop.site_id})
                self.answered.append((asked, time.monotonic()))
            except Exception:  # noqa: S110  (no answer, however it looks, is what is measured)
                pass
            await asyncio.sleep(_LOOK_SECONDS)


def _note(traces: Sequence[Trace], now: float) -> None:
    for trace in traces:
        trace.counted = now


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(f"'{id_}'" for id_ in ids)


async def _for_ever(look: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await look()
        except Exception as error:  # drivers raise all sorts on a store that dies under them
            log.info("looking again: %r", error)
            await asyncio.sleep(_LOOK_SECONDS)
