"""The merchants of a run: each has one shop and one live subscriber."""

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from deploy.local.demo.merchant import DemoMerchant, Shop
from deploy.local.demo.subscriber import subscribe_to_claims

log = logging.getLogger(__name__)

PASSWORD = "correct horse"

_CONNECT_SECONDS = 3.0
"""Time limit for a subscription to start; then the subscriber connects again."""

_RECONNECT_SECONDS = 0.2

_CONNECTION_SECONDS = (2.0, 6.0)
"""Range of the lifetime of a connection that the subscriber closes on purpose."""


@dataclass
class Tenant:
    """A merchant, the shop, and the claims that its subscriber received.

    Attributes:
        claims: in the order of their arrival; each has `id`, `cursor` and `sourceEventIds`.
        claimed_at: monotonic time at which the claim of a source event arrived.
        connections: number of subscriptions started.
    """

    merchant: DemoMerchant
    shop: Shop
    claims: list[dict[str, Any]] = field(default_factory=list)
    claimed_at: dict[str, float] = field(default_factory=dict)
    connections: int = 0

    async def subscribe(self, url: str, rng: random.Random | None) -> None:
        """Subscribe to the shop until cancelled; each new connection resumes at the last cursor.

        Args:
            rng: draws when the subscriber closes its connection; None: it never does.
        """
        while True:
            try:
                await self._receive_claims(url, rng)
            except Exception as error:  # of any kind: the next connection resumes
                log.info("subscriber reconnects error=%r", error)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _receive_claims(self, url: str, rng: random.Random | None) -> None:
        after = self.claims[-1]["cursor"] if self.claims else "0-0"
        async with asyncio.timeout(_CONNECT_SECONDS) as limit:
            async with subscribe_to_claims(url, self.shop.site_key, after=after) as claims:
                self.connections += 1
                now = asyncio.get_running_loop().time()
                limit.reschedule(now + rng.uniform(*_CONNECTION_SECONDS) if rng else None)
                async for claim in claims:
                    self._record(claim)

    def _record(self, claim: dict[str, Any]) -> None:
        self.claims.append(claim)
        for event_id in claim["sourceEventIds"]:
            self.claimed_at.setdefault(event_id, time.monotonic())


async def new_tenant(client: httpx.AsyncClient) -> Tenant:
    merchant = DemoMerchant(client)
    name = uuid4().hex
    await merchant.sign_up(
        f"{name}@example.com", PASSWORD, full_name="Anna Berg", account=f"Shops of {name}"
    )
    return Tenant(merchant, await merchant.create_shop(name="Shoes", domain=f"{name}.localhost"))
