"""The steps of the stream worker: one list, in the order in which they run.

Each step is a file with the step's name. It takes a batch of events and has one effect. A step may
drop an event, with a reason that is counted. Every step may run twice and has its effect once: ids
decide, in each store by its own means. The stream worker acknowledges a batch after the last step.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.pipeline.attribute import attribute
from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.analytics.pipeline.check_timestamps import check_timestamps
from subgraphs.analytics.pipeline.count import count
from subgraphs.analytics.pipeline.decode import decode
from subgraphs.analytics.pipeline.deduplicate import deduplicate
from subgraphs.analytics.pipeline.drop_bots import drop_bots
from subgraphs.analytics.pipeline.drop_expired import drop_expired
from subgraphs.analytics.pipeline.publish_activity import publish_activity
from subgraphs.analytics.pipeline.publish_claims import publish_claims
from subgraphs.analytics.pipeline.restore_recorded import restore_recorded
from subgraphs.analytics.pipeline.sessionise import sessionise
from subgraphs.analytics.pipeline.write_counters import write_counters
from subgraphs.analytics.pipeline.write_events import write_events
from subgraphs.analytics.pipeline.write_notification_events import write_notification_events
from subgraphs.analytics.pipeline.write_raw_events import write_raw_events
from subgraphs.kernel import db
from workers.stream.load_claims import load_claims
from workers.stream.make_claims import make_claims
from workers.stream.store_cursors import store_cursors


@dataclass(frozen=True)
class Steps:
    """The steps by what they need: nothing, the batch's transaction, or the other stores."""

    reading: tuple[Callable[[Batch], None], ...]
    recording: tuple[Callable[[AsyncSession, Batch], Awaitable[None]], ...]
    publishing: tuple[Callable[[Batch], Awaitable[None]], ...]

    def read(self, batch: Batch) -> None:
        """Decode a batch and drop what does not count; needs no store."""
        for step in self.reading:
            step(batch)
        batch.is_read = True

    async def record(self, batch: Batch) -> None:
        """Write a batch to PostgreSQL, in one transaction."""
        async with db.service_transaction() as session:
            for step in self.recording:
                await step(session, batch)


STEPS = Steps(
    reading=(
        decode,
        check_timestamps,
        drop_bots,
        deduplicate,
    ),
    recording=(
        restore_recorded,
        drop_expired,
        write_events,
        make_claims,
        load_claims,
        write_notification_events,
        attribute,
        sessionise,
        count,
    ),
    publishing=(
        # Before ClickHouse: a slow or absent ClickHouse must not delay what visitors see.
        publish_claims,
        store_cursors,
        write_raw_events,
        write_counters,
        publish_activity,
    ),
)
