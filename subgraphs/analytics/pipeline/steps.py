"""The way of a batch of events into the stores, as named steps.

A step may drop an event, with a reason that is counted. Every step may run twice with the effect of
once: ids decide, in each store by its own means. The steps that need claims are put in between by
the worker that runs the pipeline (`workers/stream/main.py`).
"""

import re
from collections.abc import Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import ledger
from subgraphs.analytics.clickhouse import store
from subgraphs.analytics.ledger import Happening, Key
from subgraphs.analytics.pipeline import countable
from subgraphs.analytics.pipeline.attribution import attribute
from subgraphs.analytics.pipeline.batch import (
    CLAIM_EVENTS,
    SOURCE_EVENTS,
    Batch,
    Claim,
    Drop,
    claim_name_of,
)
from subgraphs.analytics.pipeline.bot_rate import drop_bots, recall
from subgraphs.analytics.pipeline.deduplicate import deduplicate
from subgraphs.analytics.pipeline.retention_filter import drop_gone
from subgraphs.analytics.pipeline.sessions import sessionise
from subgraphs.analytics.pipeline.timestamps import clock
from subgraphs.analytics.realtime import counters, live_visitors
from subgraphs.kernel import live, redis
from subgraphs.kernel.ids import derived_id, moment_of
from subgraphs.kernel.streams import envelope
from subgraphs.kernel.streams.envelope import Event

# An escaped NUL; behind an odd number of backslashes it is one, behind an even number just text.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def decode(batch: Batch) -> None:
    """Read the envelopes."""
    for item in batch.items:
        try:
            item.event = envelope.decode(item.entry.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            item.drop = Drop.UNDECODABLE
            continue
        # PostgreSQL's text cannot hold a NUL, nor can its JSON.
        if b"\\u0000" in item.entry.body and _NUL.search(item.entry.body):
            item.drop = Drop.UNDECODABLE
        elif item.event.type not in CLAIM_EVENTS and item.event.type not in SOURCE_EVENTS:
            item.drop = Drop.UNKNOWN_TYPE


READ: tuple[Callable[[Batch], None], ...] = (decode, clock, drop_bots, deduplicate)


def read(batch: Batch) -> None:
    """The steps that need no store: what the batch says, and what of it counts."""
    for step in READ:
        step(batch)
    batch.is_read = True


__all__ = ["attribute", "drop_gone", "recall", "sessionise"]


async def write_events(session: AsyncSession, batch: Batch) -> None:
    """The facts from outside, into the ledger; of those it has, what it has goes on."""
    envelope = batch.source_events
    batch.new_events = await ledger.add_events(session, envelope)
    if len(batch.new_events) == len(envelope):
        return
    known = set(map(_key, envelope)).difference(map(_key, batch.new_events))
    stored = await ledger.stored_events(session, list(known))
    for item in batch.items:
        if event := item.live:
            item.event = stored.get(_key(event), event)


async def write_happenings(session: AsyncSession, batch: Batch) -> None:
    """What happened to claims, into the ledger, and counted there; of what it has, that goes on."""
    happened = [_published(claim) for claim in batch.made]
    for item in batch.items:
        if not item.event or item.drop or item.event.type not in CLAIM_EVENTS:
            continue
        claim = batch.mentioned.get(claim_name_of(item.event))
        if claim is None or claim.site_id != item.event.site_id:
            item.drop = Drop.UNKNOWN_CLAIM
        else:
            happened.append(_happened(item.event, claim))
    batch.happenings = happened
    batch.new_happenings = await ledger.add_happenings(session, happened)
    if len(batch.new_happenings) == len(happened):
        return
    known = {it.key for it in happened}.difference(it.key for it in batch.new_happenings)
    stored = await ledger.stored_happenings(session, list(known))
    batch.happenings = [stored.get(it.key, it) for it in happened]


async def count(session: AsyncSession, batch: Batch) -> None:
    """Count the new facts, as what happened to claims is; the counters of the sites concerned."""
    await ledger.count(session, countable.new_facts_of(batch))
    site_ids = {event.site_id for event in countable.facts_of(batch)}
    site_ids |= {happening.site_id for happening in batch.happenings}
    batch.counters = await ledger.counters(session, site_ids)


async def write_raw_events(batch: Batch) -> None:
    """All that counts, into ClickHouse."""
    await store.add(countable.rows_of(batch))


async def show_counters(batch: Batch) -> None:
    """The ledger's counters, and who is there, into Redis."""
    await counters.show(redis.client(), batch.counters)
    await live_visitors.note(redis.client(), batch)


async def publish_claims(batch: Batch) -> None:
    """The claims that have no place in the live channel yet, to their sites' visitors."""
    made = [claim for claim in batch.made if not claim.is_published]
    published = [(live.claims_of(claim.site_id), claim.id, claim.message) for claim in made]
    cursors = await live.publish_all(published)
    batch.cursors = dict(zip((claim.id for claim in made), cursors, strict=True))


def _published(claim: Claim) -> Happening:
    return Happening(
        id=derived_id(moment_of(claim.id), claim.id, "published"),
        created_at=claim.published_at,
        account_id=claim.account_id,
        site_id=claim.site_id,
        notification_id=claim.notification_id,
        claim_id=claim.id,
        event_type="published",
        captured_at=claim.published_at,
        variant_id=claim.variant_id,
    )


def _happened(event: Event, claim: Claim) -> Happening:
    return Happening(
        id=event.id,
        created_at=event.occurred_at,
        account_id=claim.account_id,
        site_id=claim.site_id,
        notification_id=claim.notification_id,
        claim_id=claim.id,
        event_type=CLAIM_EVENTS[event.type],
        captured_at=event.captured_at,
        visitor_id=event.visitor_id,
        page=_text(event, "page"),
        variant_id=claim.variant_id,
        device=_text(event, "device"),
        country=_text(event, "country"),
    )


def _key(event: Event) -> Key:
    return event.site_id, event.occurred_at, event.id, event.type


def _text(event: Event, key: str) -> str | None:
    value = event.payload.get(key)
    return value if isinstance(value, str) else None
