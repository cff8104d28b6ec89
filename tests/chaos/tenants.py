"""The merchants of a run: each with a shop of their own, and somebody who follows it live."""

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

_JOIN_SECONDS = 3.0
"""How long a subscription may take to be there before the client begins anew."""

_PAUSE_SECONDS = 0.2

_STAYS = (2.0, 6.0)
"""Seconds between two breaks of a connection that breaks by itself."""


@dataclass
class Tenant:
    """A merchant, the shop, and what its follower has seen.

    Attributes:
        claims: as they came in; each with `id`, `cursor` and `sourceEventIds`.
        claimed: when the claim of a source event came.
    """

    merchant: DemoMerchant
    shop: Shop
    claims: list[dict[str, Any]] = field(default_factory=list)
    claimed: dict[str, float] = field(default_factory=dict)
    connections: int = 0

    async def follow(self, url: str, dice: random.Random | None) -> None:
        """Follow the shop for ever, from the last cursor on after each break.

        Args:
            dice: when the connection breaks by itself; never if there are none.
        """
        while True:
            try:
                await self._follow(url, dice)
            except Exception as error:  # whatever broke it, the next connection goes on
                log.info("following again: %r", error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, url: str, dice: random.Random | None) -> None:
        after = self.claims[-1]["cursor"] if self.claims else "0-0"
        async with asyncio.timeout(_JOIN_SECONDS) as patience:
            async with subscribe_to_claims(url, self.shop.site_key, after=after) as claims:
                self.connections += 1
                ends = asyncio.get_running_loop().time() + dice.uniform(*_STAYS) if dice else None
                patience.reschedule(ends)
                async for claim in claims:
                    self._note(claim)

    def _note(self, claim: dict[str, Any]) -> None:
        self.claims.append(claim)
        for event_id in claim["sourceEventIds"]:
            self.claimed.setdefault(event_id, time.monotonic())


async def new_tenant(client: httpx.AsyncClient) -> Tenant:
    merchant = DemoMerchant(client)
    name = uuid4().hex
    await merchant.sign_up(
        f"{name}@example.com", PASSWORD, full_name="Anna Berg", account=f"Shops of {name}"
    )
    return Tenant(merchant, await merchant.create_shop(name="Shoes", domain=f"{name}.localhost"))
