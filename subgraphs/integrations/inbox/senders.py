"""Who may knock at the inbox, looked up once in a while and remembered in between."""

import asyncio
import time
from uuid import UUID

from subgraphs.integrations import service
from subgraphs.integrations.service import Sender
from subgraphs.kernel import db

STORE_SECONDS = 4.0
"""How long the database may take. Shopify hangs up after five seconds."""

SENDER_CACHE_SECONDS = 10.0
"""How long a disconnected shop may still deliver; without it every webhook costs a look-up."""

_CACHED_SENDERS = 10_000


class Senders:
    """Integrations by id, for a moment from memory. Only hits: a new one is there at once."""

    def __init__(self) -> None:
        self._cache: dict[UUID, tuple[float, Sender]] = {}

    async def find(self, integration_id: UUID) -> Sender | None:
        now = time.monotonic()
        cached = self._cache.get(integration_id)
        if cached and cached[0] > now:
            return cached[1]
        async with asyncio.timeout(STORE_SECONDS), db.service_transaction() as session:
            sender = await service.find_sender(session, integration_id=integration_id)
        if len(self._cache) >= _CACHED_SENDERS:
            self._cache.clear()
        if sender:
            self._cache[integration_id] = (now + SENDER_CACHE_SECONDS, sender)
        return sender
