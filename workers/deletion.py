"""What is forgotten each night, a batch at a time.

    analytics.forget_visitors    the profiles of those who have not come back
    integrations.forget_bodies   what shops sent, word for word
    notifications.forget_claims  claims, as long after their publication as their plan keeps events
    kernel.forget_published      the old ends of live channels, and old dead letters

Events go into the archive instead (`retention.py`).
"""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from subgraphs.analytics.ledger import profiles
from subgraphs.integrations import service as integrations
from subgraphs.kernel import db, live
from subgraphs.kernel.identity.tenants import Tenant
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC
from subgraphs.notifications import claims
from workers.app import (
    FORGET_BODIES,
    FORGET_CLAIMS,
    FORGET_PUBLISHED,
    FORGET_VISITORS,
    TASK_SECONDS,
    app,
    run,
)

log = logging.getLogger(__name__)

AT_ONCE = 5000
"""Rows in one transaction."""

SITES_AT_ONCE = 500
"""Whose channels are cut in one round trip."""

PUBLISHED_KEPT = timedelta(days=90)
"""How long Redis keeps what it repeats to followers, and dead letters; no plan keeps less."""

_SECONDS = TASK_SECONDS / 3
"""After so long a task begins nothing new: what is left is the next night's."""


@app.task(name=FORGET_VISITORS)
def _visitors() -> int:
    return run(forget_visitors(datetime.now(UTC)))


@app.task(name=FORGET_BODIES)
def _bodies() -> int:
    return run(forget_bodies(datetime.now(UTC)))


@app.task(name=FORGET_CLAIMS)
def _claims() -> int:
    return run(forget_claims(datetime.now(UTC)))


@app.task(name=FORGET_PUBLISHED)
def _published() -> None:
    run(forget_published(datetime.now(UTC)))


async def forget_visitors(now: datetime) -> int:
    """Forget who has not been seen for as long as events are kept; how many."""
    return await _in_batches("visitors", profiles.forget, now)


async def forget_bodies(now: datetime) -> int:
    """Empty what was received long ago and is done with; how many."""
    return await _in_batches("bodies of webhooks", integrations.delete_bodies, now)


async def forget_claims(now: datetime) -> int:
    """Delete the claims that are as old as events become; how many."""
    return await _in_batches("claims", claims.delete_claims, now)


async def forget_published(now: datetime) -> None:
    """Let go of what has stood in the sites' channels, or among the dead letters, for so long."""
    before = now - PUBLISHED_KEPT
    async with db.service_transaction() as session:
        found = await session.stream_scalars(
            select(Tenant.site_id), execution_options={"yield_per": SITES_AT_ONCE}
        )
        async for site_ids in found.partitions():
            await live.trim(site_ids, before=before)
    await event_streams.streams().delete_dead_letters(EVENTS_TOPIC, before=before)


async def _in_batches(what: str, forget: Callable[..., Awaitable[int]], now: datetime) -> int:
    until = time.monotonic() + _SECONDS
    forgotten = 0
    while time.monotonic() < until:
        async with db.service_transaction() as session:
            gone = await forget(session, now=now, most=AT_ONCE)
        forgotten += gone
        if gone < AT_ONCE:
            break
    if forgotten:
        log.info("forgot %d %s", forgotten, what)
    return forgotten
