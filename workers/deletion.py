"""Nightly tasks that delete old data, a batch at a time.

    analytics.delete_visitor_profiles   profiles of visitors who have not come back
    integrations.delete_webhook_bodies  the bodies of received webhooks
    claims.delete_claims         claims, as long after publication as their plan keeps events
    kernel.delete_published             the old ends of live channels, and old dead letters

Events are archived instead (`archive.py`).
"""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import select

from subgraphs.analytics.ledger import profiles
from subgraphs.integrations import service as integrations
from subgraphs.kernel import db, live, task_names
from subgraphs.kernel.identity.tenants import Tenant
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC
from subgraphs.notifications import claims
from workers.app import app, run
from workers.configuration import TASK_SECONDS

log = structlog.stdlib.get_logger(__name__)

BATCH_SIZE = 5000
"""Rows in one transaction."""

SITES_PER_TRIM = 500
"""Sites whose live channels are trimmed in one round trip."""

PUBLISHED_RETENTION = timedelta(days=90)
"""How long Redis keeps published messages for subscribers, and dead letters; no plan keeps less."""

_SECONDS = TASK_SECONDS / 3
"""After this time a task begins no further batch; the next night continues."""


@app.task(name=task_names.DELETE_VISITOR_PROFILES)
def _visitor_profiles() -> int:
    return run(delete_visitor_profiles(datetime.now(UTC)))


@app.task(name=task_names.DELETE_WEBHOOK_BODIES)
def _webhook_bodies() -> int:
    return run(delete_webhook_bodies(datetime.now(UTC)))


@app.task(name=task_names.DELETE_CLAIMS)
def _claims() -> int:
    return run(delete_claims(datetime.now(UTC)))


@app.task(name=task_names.DELETE_PUBLISHED)
def _published() -> None:
    run(delete_published(datetime.now(UTC)))


async def delete_visitor_profiles(now: datetime) -> int:
    """Delete profiles of visitors not seen for as long as events are kept; returns how many."""
    return await _in_batches("visitor profiles", profiles.delete_old, now)


async def delete_webhook_bodies(now: datetime) -> int:
    """Empty the bodies of old webhooks that are processed; returns how many."""
    return await _in_batches("webhook bodies", integrations.delete_bodies, now)


async def delete_claims(now: datetime) -> int:
    """Delete claims published longer ago than events are kept; returns how many."""
    return await _in_batches("claims", claims.delete_claims, now)


async def delete_published(now: datetime) -> None:
    """Trim messages past `PUBLISHED_RETENTION` from live channels, and delete dead letters."""
    before = now - PUBLISHED_RETENTION
    async with db.service_transaction() as session:
        found = await session.stream_scalars(
            select(Tenant.site_id), execution_options={"yield_per": SITES_PER_TRIM}
        )
        async for site_ids in found.partitions():
            await live.trim(site_ids, before=before)
    await event_streams.streams().delete_dead_letters(EVENTS_TOPIC, before=before)


async def _in_batches(what: str, delete: Callable[..., Awaitable[int]], now: datetime) -> int:
    until = time.monotonic() + _SECONDS
    total = 0
    while time.monotonic() < until:
        async with db.service_transaction() as session:
            deleted = await delete(session, now=now, most=BATCH_SIZE)
        total += deleted
        if deleted < BATCH_SIZE:
            break
    if total:
        log.info("deleted", kind=repr(what), rows=total)
    return total
