"""Looks up which integrations may send webhooks, with a cache in memory."""

import asyncio
from typing import NamedTuple
from uuid import UUID

from cachetools import TTLCache

from subgraphs.integrations.inbox import store
from subgraphs.integrations.inbox.store import Sender
from subgraphs.kernel.errors import Unavailable

STORE_SECONDS = 4.0
"""Longest time for a database call. Shopify disconnects after five seconds."""

SENDER_CACHE_SECONDS = 10.0
"""How long a disconnected shop may still deliver. Without a cache each webhook costs a look-up."""

MAX_LOOK_UPS = 100
"""Look-ups of unknown integrations at a time; further ones are refused, so that invented ids cannot
occupy the database. Integrations that sent within the last day are few and do not count."""

_CACHED_SENDERS = 10_000
_REMEMBERED_SECONDS = 86_400.0


class KnownSender(NamedTuple):
    """An integration and its webhook secret, decrypted."""

    sender: Sender
    secret: bytes


class Senders:
    """Integrations by id. Only hits are cached, so a new integration works at once."""

    def __init__(self) -> None:
        self._cache: TTLCache[UUID, KnownSender] = TTLCache(_CACHED_SENDERS, SENDER_CACHE_SECONDS)
        self._remembered: TTLCache[UUID, bool] = TTLCache(_CACHED_SENDERS, _REMEMBERED_SECONDS)
        self._look_ups: dict[UUID, asyncio.Task[KnownSender | None]] = {}
        self._unknown = 0
        """Look-ups under way of integrations that are not remembered."""

    def cached(self, integration_id: UUID) -> KnownSender | None:
        """The connected integration with this id, if it was looked up just before."""
        return self._cache.get(integration_id)

    async def find(self, integration_id: UUID) -> KnownSender | None:
        """The connected integration with this id, or None; concurrent callers share a look-up.

        Raises:
            TimeoutError: the database took longer than `STORE_SECONDS`.
            Unavailable: too many unknown integrations are being looked up.
        """
        look_up = self._look_ups.get(integration_id)
        if look_up is None:
            look_up = asyncio.create_task(self._look_up(integration_id))
            self._look_ups[integration_id] = look_up
            look_up.add_done_callback(lambda _: self._look_ups.pop(integration_id))
        return await asyncio.shield(look_up)

    async def _look_up(self, integration_id: UUID) -> KnownSender | None:
        is_unknown = integration_id not in self._remembered
        if is_unknown and self._unknown >= MAX_LOOK_UPS:
            raise Unavailable("Too many integrations are being looked up; send it again.")
        self._unknown += is_unknown
        try:
            async with asyncio.timeout(STORE_SECONDS):
                sender = await store.find_sender(integration_id)
        finally:
            self._unknown -= is_unknown
        if sender is None:
            return None
        known = KnownSender(sender, sender.secret())
        self._cache[integration_id] = known
        self._remembered[integration_id] = True
        return known
