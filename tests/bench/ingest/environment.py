"""The stores that the servers use, the sites that send events, and the number of stored events."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from deploy.local.stack.stack import Stack
from subgraphs.kernel import cancellation, db, redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.tenants import Tenant, set_limits
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC
from subgraphs.kernel.streams.interface import PARTITIONS
from subgraphs.kernel.streams.redis.names import stream_of
from tests.fixtures.ports import free_port
from tests.fixtures.shop import new_shop

NO_LIMIT = 1_000_000
"""Events a second: the rate limit must not affect the measurement."""

_KEPT = 20_000
"""Number of entries that a partition keeps after a trim."""

_TRIM_SECONDS = 0.5

_SETTLE_SECONDS = 0.5


class Sender(NamedTuple):
    """A site key, and an origin that may use it."""

    key: str
    origin: str


class Environment:
    """Valkey and PostgreSQL for one run."""

    def __init__(self, stack: Stack, load_core: int) -> None:
        self.stack = stack
        for name in ("valkey", "postgres"):
            pin(stack.pids[name], load_core)

    async def new_sender(self, events_per_second: int) -> Sender:
        shop = await new_shop()
        async with db.transaction(shop.owner) as session:
            await set_limits(
                session,
                site_id=shop.site_id,
                events_per_second=events_per_second,
                retention_days=90,
            )
            tenant = await session.get_one(Tenant, shop.site_id)
            return Sender(shop.site_key, f"https://{tenant.domain}")

    async def check_durability(self) -> None:
        """Check that Valkey syncs each write before its reply, without which no figure counts."""
        found = await redis.client().config_get("append*")
        wanted = {"appendonly": "yes", "appendfsync": "always"}
        assert {name: found[name] for name in wanted} == wanted, found

    async def appended(self) -> int:
        """The number of entries appended since the last `clear`, trimmed ones included."""
        async with redis.client().pipeline(transaction=False) as pipe:
            for partition in range(PARTITIONS):
                pipe.xinfo_stream(stream_of(EVENTS_TOPIC, partition))
            streams = await pipe.execute(raise_on_error=False)
        return sum(it["entries-added"] for it in streams if isinstance(it, dict))

    async def settled(self) -> int:
        """`appended` once it no longer grows: wrk does not wait for its last responses."""
        before, now = -1, await self.appended()
        while now != before:
            await asyncio.sleep(_SETTLE_SECONDS)
            before, now = now, await self.appended()
        return now

    async def clear(self) -> None:
        """Delete everything in Valkey once the last events are appended."""
        await self.settled()
        await redis.client().flushall()

    @asynccontextmanager
    async def trimmed(self) -> AsyncIterator[None]:
        """Trim the stream during the block, as a worker would: a full stream refuses events."""
        task = asyncio.create_task(self._trim())
        try:
            yield
        finally:
            await cancellation.cancel_and_wait(task)

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(_TRIM_SECONDS)
            async with redis.client().pipeline(transaction=False) as pipe:
                for partition in range(PARTITIONS):
                    pipe.xtrim(stream_of(EVENTS_TOPIC, partition), maxlen=_KEPT)
                await pipe.execute()


@asynccontextmanager
async def open_environment(
    folder: Path, load_core: int, *processes: str
) -> AsyncIterator[Environment]:
    """Start migrated stores and these `processes`; pin the stores to a core."""
    wanted = ("migrate", "valkey", *processes)
    async with Stack(state=folder, port=free_port(), only=wanted) as stack:
        os.environ.update(stack.env)
        settings.cache_clear()
        try:
            yield Environment(stack, load_core)
        finally:
            for dispose in (event_streams.dispose, redis.dispose, db.dispose):
                await dispose()


def pin(pid: int, core: int) -> None:
    """Pin a process, its threads and its children to one core."""
    process = psutil.Process(pid)
    for member in (process, *process.children(recursive=True)):
        for thread in member.threads():
            os.sched_setaffinity(thread.id, {core})
