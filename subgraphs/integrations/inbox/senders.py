"""Looks up which integrations may send webhooks, with a cache in memory."""

import asyncio
from uuid import UUID

from cachetools import TTLCache

from subgraphs.integrations import service
from subgraphs.integrations.service import Sender
from subgraphs.kernel import db

STORE_SECONDS = 4.0
"""Longest time for a database call. Shopify disconnects after five seconds."""

SENDER_CACHE_SECONDS = 10.0
"""How long a disconnected shop may still deliver. Without a cache each webhook costs a look-up."""

_CACHED_SENDERS = 10_000


class Senders:
    """Integrations by id. Only hits are cached, so a new integration works at once."""

    def __init__(self) -> None:
        self._cache: TTLCache[UUID, Sender] = TTLCache(_CACHED_SENDERS, SENDER_CACHE_SECONDS)

    async def find(self, integration_id: UUID) -> Sender | None:
        """The connected integration with this id, or None.

        Raises:
            TimeoutError: the database took longer than `STORE_SECONDS`.
        """
        if cached := self._cache.get(integration_id):
            return cached
        async with asyncio.timeout(STORE_SECONDS), db.service_transaction() as session:
            sender = await service.find_sender(session, integration_id=integration_id)
        if sender:
            self._cache[integration_id] = sender
        return sender
