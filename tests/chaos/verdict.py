"""Everything acknowledged, looked for in every store; the stores compared with each other."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from redis.asyncio import Redis

from deploy.local.demo.merchant import ANALYTICS
from subgraphs.analytics.realtime import counters
from tests.chaos.tenants import Tenant
from tests.chaos.traces import ORDERS, PAGE_VIEWS, Trace, Traces

_EVENTS = """
    SELECT id::text, payload->>'orderId' FROM events WHERE site_id = $1"""
_NOTIFICATION_EVENTS = """
    SELECT id::text, event_type, claim_id::text FROM notification_events WHERE site_id = $1"""
_CLAIMS = """
    SELECT id::text, cursor, source_event_ids::text[] FROM claims WHERE site_id = $1"""
_COUNTERS = "SELECT metric, value FROM counters WHERE site_id = $1"
_RAW = """
    SELECT metric, toString(id), count() FROM raw_events FINAL
    WHERE site_id = '{site}' GROUP BY metric, id FORMAT JSONCompactEachRow"""

_CLAIMED = ("published", "shown", "clicked", "dismissed")
"""What happens to claims."""

_COUNTED = (ORDERS, PAGE_VIEWS, *_CLAIMED)
"""What is counted everywhere; of views the graph is not asked."""


@dataclass
class Verdict:
    """What is wrong, in words; nothing where all is well."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    misordered: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.misordered or self.miscounted)

    def once(self, what: str, wanted: Iterable[str], found: Counter[str]) -> None:
        """Every one wanted must be there, and once."""
        for key in wanted:
            if not found[key]:
                self.lost.append(f"{what} {key}")
        self.doubled += [f"{what} {key}: {many} times" for key, many in found.items() if many > 1]

    def same(self, what: str, one: Any, other: Any) -> None:
        if one != other:
            self.miscounted.append(f"{what}: {one} and {other}")


class Judge:
    """Looks at the stores behind the stack's back, and at the graph as a merchant does."""

    def __init__(
        self, *, database: asyncpg.Connection, clickhouse: httpx.AsyncClient, redis: Redis
    ) -> None:
        self._database = database
        self._clickhouse = clickhouse
        self._redis = redis

    async def judge(self, traces: Traces, tenants: Sequence[Tenant]) -> Verdict:
        verdict = Verdict()
        for tenant in tenants:
            of_site = [it for it in traces.acknowledged if it.site_id == tenant.shop.site_id]
            await self._site(verdict, tenant, of_site)
        return verdict

    async def _site(self, verdict: Verdict, tenant: Tenant, traces: Sequence[Trace]) -> None:
        site_id = UUID(tenant.shop.site_id)
        events = await self._database.fetch(_EVENTS, site_id)
        notification_events = await self._database.fetch(_NOTIFICATION_EVENTS, site_id)
        claims = await self._database.fetch(_CLAIMS, site_id)
        raw = await self._raw(tenant.shop.site_id)

        orders = {it.key for it in traces if it.metric == ORDERS}
        event_ids = {number: id_ for id_, number in events if number}
        verdict.once("order in PostgreSQL", orders, Counter(n for _, n in events if n))
        seen = {it.key for it in traces if it.metric == PAGE_VIEWS}
        verdict.once("event in PostgreSQL", seen, Counter(id_ for id_, _ in events))
        said = {it.key for it in traces if it.metric in _CLAIMED}
        verdict.once("event in PostgreSQL", said, Counter(id_ for id_, _, _ in notification_events))
        for metric in {it.metric for it in traces}:
            keys = {event_ids.get(it.key, it.key) for it in traces if it.metric == metric}
            verdict.once(f"{metric} in ClickHouse", keys, raw.get(metric, Counter()))

        sources = Counter(source for _, _, ids in claims for source in ids)
        verdict.once("claim of order", {event_ids[o] for o in orders & event_ids.keys()}, sources)
        published = Counter(claim for _, kind, claim in notification_events if kind == "published")
        verdict.once("claim in the ledger", {id_ for id_, _, _ in claims}, published)
        _followed(verdict, tenant, {id_: cursor for id_, cursor, _ in claims})
        ledger = Counter(kind for _, kind, _ in notification_events)
        ledger[ORDERS] = sum(number is not None for _, number in events)
        ledger[PAGE_VIEWS] = len(events) - ledger[ORDERS]  # no other facts are sent
        await self._counts(verdict, tenant, ledger, raw)

    async def _counts(
        self,
        verdict: Verdict,
        tenant: Tenant,
        ledger: Counter[str],
        raw: dict[str, Counter[str]],
    ) -> None:
        site_id = tenant.shop.site_id
        rows = await self._database.fetch(_COUNTERS, UUID(site_id))
        counted = {row["metric"]: row["value"] for row in rows}
        shown = await counters.read(self._redis, UUID(site_id))
        now = datetime.now(UTC)
        span = {"start": now - timedelta(hours=2), "end": now + timedelta(hours=1)}
        variables = {"id": site_id, **{name: day.isoformat() for name, day in span.items()}}
        graph = (await tenant.merchant.execute(ANALYTICS, variables))["site"]["analytics"]["totals"]
        for metric in _COUNTED:
            what = f"{metric} at {site_id}"
            verdict.same(f"{what}, counters", counted.get(metric, 0), ledger[metric])
            verdict.same(f"{what}, Redis", shown.get(metric, 0), ledger[metric])
            in_clickhouse = len(raw.get(metric, ()))
            verdict.same(f"{what}, ClickHouse", in_clickhouse, ledger[metric])
            verdict.same(f"{what}, graph", graph.get(metric, ledger[metric]), ledger[metric])

    async def _raw(self, site_id: str) -> dict[str, Counter[str]]:
        answer = await self._clickhouse.post("", content=_RAW.format(site=site_id))
        found: dict[str, Counter[str]] = {}
        for line in answer.raise_for_status().text.splitlines():
            metric, id_, many = json.loads(line)
            found.setdefault(metric, Counter())[id_] = int(many)
        return found


def _followed(verdict: Verdict, tenant: Tenant, stored: dict[str, str | None]) -> None:
    """What the follower saw against the claims of the ledger."""
    received = {claim["id"]: claim["cursor"] for claim in tenant.claims}
    verdict.once("claim at the follower", stored, Counter(claim["id"] for claim in tenant.claims))
    for id_, cursor in received.items():
        if stored.get(id_) != cursor:
            verdict.misordered.append(
                f"claim {id_} came with {cursor}, the ledger has {stored.get(id_)}"
            )
    places = [_place(claim["cursor"]) for claim in tenant.claims]
    for before, after in zip(places, places[1:], strict=False):
        if after <= before:
            verdict.misordered.append(f"{after} came after {before}")


def _place(cursor: str) -> tuple[int, int]:
    ms, sequence = cursor.split("-")
    return int(ms), int(sequence)
