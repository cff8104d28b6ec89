"""Publishes claims to the live channel of a running stack, as the stream worker does but faster."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from redis.asyncio import Redis

from deploy.local.demo.merchant import Shop
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.live.channel import BUFFERED, claims_of
from subgraphs.kernel.live.wakeups import pubsub_channel
from tests.journeys.conftest import Running

_PIPELINED = 50


class Channel(NamedTuple):
    """The live channel of a site."""

    client: Redis
    shop: Shop

    async def publish(self, count: int, text: str = "Anna bought shoes") -> list[str]:
        """Publish `count` claims; returns their cursors."""
        name = claims_of(UUID(self.shop.site_id))
        cursors: list[str] = []
        while len(cursors) < count:
            async with self.client.pipeline(transaction=False) as pipe:
                for _ in range(min(_PIPELINED, count - len(cursors))):
                    pipe.xadd(name, self._entry(text), maxlen=BUFFERED, approximate=True)
                pipe.publish(pubsub_channel(name), "")
                *added, _ = await pipe.execute()
            cursors += [cursor.decode() for cursor in added]
        return cursors

    def _entry(self, text: str) -> dict[Any, Any]:
        now = datetime.now(UTC).isoformat()
        claim = {
            "id": str(new_id()),
            "text": text,
            "url": None,
            "occurredAt": now,
            "publishedAt": now,
            "notificationId": self.shop.notification_id,
            "siteId": self.shop.site_id,
            "sourceEventIds": [str(new_id())],
        }
        return {"id": claim["id"], "data": msgspec.json.encode(claim)}


@pytest.fixture
async def channel(running: Running, shop: Shop) -> AsyncIterator[Channel]:
    async with Redis.from_url(running.stack.stores["redis"]) as client:
        yield Channel(client, shop)
