"""Looks up every acknowledged event in every store, and compares the stores with each other."""

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
from tests.chaos.sent_events import ORDERS, PAGE_VIEWS, SentEvent, SentEvents
from tests.chaos.tenants import Tenant

_EVENTS = """
    SELECT id::text, payload->>'orderId' FROM events WHERE site_id = $1"""
_NOTIFICATION_EVENTS = """
    SELECT id::text, event_type, claim_id::text FROM notification_events WHERE site_id = $1"""
_CLAIMS = """
    SELECT id::text, cursor, source_event_ids::text[] FROM claims WHERE site_id = $1"""
_COUNTERS = "SELECT metric, value FROM counters WHERE site_id = $1"
_RAW_EVENTS = """
    SELECT metric, toString(id), count() FROM raw_events FINAL
    WHERE site_id = '{site}' GROUP BY metric, id FORMAT JSONCompactEachRow"""

_NOTIFICATION_METRICS = ("published", "shown", "clicked", "dismissed")

_COMPARED = (ORDERS, PAGE_VIEWS, *_NOTIFICATION_METRICS)
"""The metrics that the stores must agree on; the GraphQL query does not select page views."""


@dataclass
class Findings:
    """The problems found, each described in a line; empty lists in a successful run."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    unequal_counts: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.lost or self.duplicated or self.out_of_order or self.unequal_counts)

    def require_once(self, what: str, expected: Iterable[str], found: Counter[str]) -> None:
        """Record each expected key that is missing, and each key that was found twice or more."""
        for key in expected:
            if not found[key]:
                self.lost.append(f"{what} {key}")
        self.duplicated += [
            f"{what} {key}: {count} times" for key, count in found.items() if count > 1
        ]

    def require_equal(self, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            self.unequal_counts.append(f"{what}: {found}, expected {expected}")


class Verifier:
    """Reads the stores directly, and the GraphQL API as a merchant."""

    def __init__(
        self, *, database: asyncpg.Connection, clickhouse: httpx.AsyncClient, redis: Redis
    ) -> None:
        self._database = database
        self._clickhouse = clickhouse
        self._redis = redis

    async def verify(self, sent: SentEvents, tenants: Sequence[Tenant]) -> Findings:
        findings = Findings()
        for tenant in tenants:
            events = [it for it in sent.acknowledged if it.site_id == tenant.shop.site_id]
            await self._verify_site(findings, tenant, events)
        return findings

    async def _verify_site(
        self, findings: Findings, tenant: Tenant, sent: Sequence[SentEvent]
    ) -> None:
        site_id = UUID(tenant.shop.site_id)
        events = await self._database.fetch(_EVENTS, site_id)
        notification_events = await self._database.fetch(_NOTIFICATION_EVENTS, site_id)
        claims = await self._database.fetch(_CLAIMS, site_id)
        raw_events = await self._raw_events(tenant.shop.site_id)

        orders = {it.key for it in sent if it.metric == ORDERS}
        event_ids = {number: id_ for id_, number in events if number}
        findings.require_once("order in PostgreSQL", orders, Counter(n for _, n in events if n))
        views = {it.key for it in sent if it.metric == PAGE_VIEWS}
        findings.require_once("event in PostgreSQL", views, Counter(id_ for id_, _ in events))
        visits = {it.key for it in sent if it.metric in _NOTIFICATION_METRICS}
        stored = Counter(id_ for id_, _, _ in notification_events)
        findings.require_once("event in PostgreSQL", visits, stored)
        for metric in {it.metric for it in sent}:
            keys = {event_ids.get(it.key, it.key) for it in sent if it.metric == metric}
            stored = raw_events.get(metric, Counter())
            findings.require_once(f"{metric} in ClickHouse", keys, stored)

        sources = Counter(source for _, _, ids in claims for source in ids)
        order_ids = {event_ids[number] for number in orders & event_ids.keys()}
        findings.require_once("claim of order", order_ids, sources)
        published = Counter(claim for _, kind, claim in notification_events if kind == "published")
        findings.require_once("claim in the ledger", {id_ for id_, _, _ in claims}, published)
        _verify_subscriber(findings, tenant, {id_: cursor for id_, cursor, _ in claims})
        ledger = Counter(kind for _, kind, _ in notification_events)
        ledger[ORDERS] = sum(number is not None for _, number in events)
        ledger[PAGE_VIEWS] = len(events) - ledger[ORDERS]  # the load sends no other events
        await self._verify_counts(findings, tenant, ledger, raw_events)

    async def _verify_counts(
        self,
        findings: Findings,
        tenant: Tenant,
        ledger: Counter[str],
        raw_events: dict[str, Counter[str]],
    ) -> None:
        """Compare the counts of each store and of the GraphQL API with the ledger's."""
        site_id = tenant.shop.site_id
        rows = await self._database.fetch(_COUNTERS, UUID(site_id))
        in_postgres = {row["metric"]: row["value"] for row in rows}
        in_redis = await counters.read(self._redis, UUID(site_id))
        now = datetime.now(UTC)
        variables = {
            "id": site_id,
            "start": (now - timedelta(hours=2)).isoformat(),
            "end": (now + timedelta(hours=1)).isoformat(),
        }
        response = await tenant.merchant.execute(ANALYTICS, variables)
        totals = response["site"]["analytics"]["totals"]
        for metric in _COMPARED:
            what, expected = f"{metric} at {site_id}", ledger[metric]
            findings.require_equal(f"{what}, counters", in_postgres.get(metric, 0), expected)
            findings.require_equal(f"{what}, Redis", in_redis.get(metric, 0), expected)
            in_clickhouse = len(raw_events.get(metric, ()))
            findings.require_equal(f"{what}, ClickHouse", in_clickhouse, expected)
            findings.require_equal(f"{what}, GraphQL", totals.get(metric, expected), expected)

    async def _raw_events(self, site_id: str) -> dict[str, Counter[str]]:
        """The number of rows of each event id in ClickHouse, by metric."""
        response = await self._clickhouse.post("", content=_RAW_EVENTS.format(site=site_id))
        found: dict[str, Counter[str]] = {}
        for line in response.raise_for_status().text.splitlines():
            metric, id_, count = json.loads(line)
            found.setdefault(metric, Counter())[id_] = int(count)
        return found


def _verify_subscriber(findings: Findings, tenant: Tenant, stored: dict[str, str | None]) -> None:
    """Compare the claims that the subscriber received with the ledger's, by id and cursor."""
    received = Counter(claim["id"] for claim in tenant.claims)
    findings.require_once("claim at the subscriber", stored, received)
    for id_, cursor in {claim["id"]: claim["cursor"] for claim in tenant.claims}.items():
        if stored.get(id_) != cursor:
            findings.out_of_order.append(
                f"claim {id_} was received with cursor {cursor}, the ledger has {stored.get(id_)}"
            )
    positions = [_position(claim["cursor"]) for claim in tenant.claims]
    for before, after in zip(positions, positions[1:], strict=False):
        if after <= before:
            findings.out_of_order.append(f"cursor {after} was received after {before}")


def _position(cursor: str) -> tuple[int, int]:
    milliseconds, sequence = cursor.split("-")
    return int(milliseconds), int(sequence)
