"""Orders followed from the webhook to the demo visitor's screen and the merchant's analytics."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.local.demo.merchant import ANALYTICS, DemoMerchant, Shop
from deploy.local.demo.shopify import deliver, source_event_id
from deploy.local.demo.subscriber import subscribe_to_claims
from deploy.local.demo.timeline import OrderTimes
from deploy.local.demo.visitor import DemoVisitor

_PAUSE_SECONDS = 0.6
"""Between two orders. The snippet leaves half a second between two toasts; an order that comes
sooner would measure that pause."""

_STOP_SECONDS = 20
"""How long an order may take to reach a stop before it counts as lost."""


class StepFailed(Exception):
    """An order did not reach a stop; the message names the stop and what was seen instead."""


class OrderTracer:
    """Sends orders and follows each through all stops.

    Orders that others send to the same shop meanwhile do no harm: a claim names its source event.
    """

    def __init__(self, merchant: DemoMerchant, shop: Shop, visitor: DemoVisitor) -> None:
        self._merchant = merchant
        self._shop = shop
        self._visitor = visitor
        self._claims: dict[str, asyncio.Future[tuple[dict[str, Any], float]]] = {}
        self._seen = 0
        self._published_before = 0

    async def trace(self, order: dict[str, Any]) -> OrderTimes:
        """Send one order; returns when it reached each stop.

        Raises:
            StepFailed: the order was refused, or did not reach a stop in time.
        """
        client = self._merchant.client
        response = await deliver(client, self._shop.hook_url, self._shop.hook_secret, order)
        accepted = time.time()
        if response.status_code != 200:
            raise StepFailed(
                f"the webhook receiver refused order {order['name']}"
                f" ({response.status_code}): {response.text}"
            )
        claim, seen = await self._wait_for_claim(order)
        shown = await self._wait_until_shown(claim)
        await self._wait_until_counted()
        return OrderTimes(
            text=claim["text"],
            accepted=accepted,
            published=datetime.fromisoformat(claim["publishedAt"]).timestamp(),
            seen=seen,
            shown=shown,
            counted=time.time(),
        )

    async def check_counts(self) -> None:
        """Compare the merchant's analytics with the claims that the demo subscriber received.

        Raises:
            StepFailed: the analytics count more or fewer claims.
        """
        deadline = time.monotonic() + _STOP_SECONDS
        while (published := await self._published()) != self._expected:
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"{self._expected} claims were published, the analytics count {published}"
                )

    async def start(self) -> None:
        self._published_before = await self._published()

    async def receive(self, claims: AsyncIterator[dict[str, Any]]) -> None:
        """Take in claims for as long as the subscription lasts."""
        async for claim in claims:
            self._seen += 1
            for event_id in claim["sourceEventIds"]:
                waiting = self._claim(event_id)
                if not waiting.done():
                    waiting.set_result((claim, time.time()))

    def _claim(self, event_id: str) -> "asyncio.Future[tuple[dict[str, Any], float]]":
        return self._claims.setdefault(event_id, asyncio.get_running_loop().create_future())

    async def _wait_for_claim(self, order: dict[str, Any]) -> tuple[dict[str, Any], float]:
        claim = self._claim(source_event_id(order, self._shop.site_id))
        try:
            return await asyncio.wait_for(claim, _STOP_SECONDS)
        except TimeoutError as error:
            raise StepFailed(
                f"the demo subscriber received no claim of order {order['name']}"
                f" in {_STOP_SECONDS} s"
            ) from error

    async def _wait_until_shown(self, claim: dict[str, Any]) -> float:
        try:
            return await self._visitor.wait_for("shown", claim["id"], seconds=_STOP_SECONDS)
        except TimeoutError as error:
            raise StepFailed(
                f"the demo visitor's browser did not show “{claim['text']}” in {_STOP_SECONDS} s"
            ) from error

    async def _wait_until_counted(self) -> None:
        expected = self._expected  # as of this order: later claims have time until `check_counts`
        deadline = time.monotonic() + _STOP_SECONDS
        while (published := await self._published()) < expected:
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"the analytics count {published} of {expected} claims after {_STOP_SECONDS} s"
                )

    @property
    def _expected(self) -> int:
        return self._published_before + self._seen

    async def _published(self) -> int:
        now = datetime.now(UTC)
        start = (now - timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
        span = {"id": self._shop.site_id, "start": start.isoformat(), "end": now.isoformat()}
        data = await self._merchant.execute(ANALYTICS, span)
        return int(data["site"]["analytics"]["totals"]["published"])


@asynccontextmanager
async def order_tracer(
    merchant: DemoMerchant, shop: Shop, visitor: DemoVisitor
) -> AsyncIterator[OrderTracer]:
    """A tracer whose demo subscriber is connected."""
    tracer = OrderTracer(merchant, shop, visitor)
    await tracer.start()
    url = str(merchant.client.base_url).rstrip("/")
    async with subscribe_to_claims(url, shop.site_key) as claims:
        receiving = asyncio.create_task(tracer.receive(claims))
        try:
            yield tracer
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)


async def trace_orders(
    merchant: DemoMerchant, shop: Shop, visitor: DemoVisitor, orders: Iterable[dict[str, Any]]
) -> AsyncIterator[OrderTimes]:
    """Send orders one after the other; yields the times of each, then compares the counts.

    Raises:
        StepFailed: an order was refused, did not reach a stop in time, or was counted twice.
    """
    async with order_tracer(merchant, shop, visitor) as tracer:
        for number, order in enumerate(orders):
            if number:
                await asyncio.sleep(_PAUSE_SECONDS)
            yield await tracer.trace(order)
            await visitor.close_toast()
        await tracer.check_counts()
