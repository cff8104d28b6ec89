"""Orders and visitor events of a shop; unacknowledged requests are sent again with the same ids."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from deploy.local.demo.shopify import order, signed_headers
from subgraphs.kernel.ids import new_id
from tests.chaos.sent_events import ORDERS, PAGE_VIEWS, SentEvent, SentEvents
from tests.chaos.tenants import Tenant

ORDER_INTERVAL = 0.3
VISIT_INTERVAL = 0.2
"""Mean seconds between two requests of one shop. Requests are in flight at every moment, and the
rate stays far below the limit of every plan."""

_MAX_IN_FLIGHT = 40
"""Unacknowledged requests of one shop; at this number no new requests are made."""

_RETRY_SECONDS = 0.25
_RESPONSE_SECONDS = 3.0
_REPEATED_SHARE = 0.05
"""Share of the acknowledged requests that are sent again, as by a client that lost the response."""

_BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/143.0.0.0 Safari/537.36"
)

Attempt = Callable[[], Awaitable[bool]]
"""Sends a request once; returns whether the response is final."""


class Load:
    """Sends orders and visitor events of one shop until `stop` is called.

    Args:
        index: number of the shop in the run; keeps order numbers unique across shops.
    """

    def __init__(
        self, tenant: Tenant, sent: SentEvents, url: str, *, index: int, rng: random.Random
    ) -> None:
        self._tenant = tenant
        self._shop = tenant.shop
        self._sent = sent
        self._rng = rng
        self._order_number = 1_000_000 * (index + 1)
        self._stopping = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(
            base_url=url, timeout=_RESPONSE_SECONDS, headers={"User-Agent": _BROWSER}
        )

    async def run(self) -> None:
        """Send requests at a steady rate; returns once all of them are acknowledged."""
        async with self._client:
            await asyncio.gather(
                self._send_at_intervals(ORDER_INTERVAL, self._order),
                self._send_at_intervals(VISIT_INTERVAL, self._visit),
            )
            while self._in_flight:
                await asyncio.wait(self._in_flight)

    def stop(self) -> None:
        """Make no new requests."""
        self._stopping.set()

    async def _send_at_intervals(self, interval: float, make: Callable[[], Attempt]) -> None:
        while not self._stopping.is_set():
            if len(self._in_flight) < _MAX_IN_FLIGHT:
                task = asyncio.create_task(self._retry_until_final(make()))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
            await asyncio.sleep(interval * self._rng.uniform(0.5, 1.5))

    async def _retry_until_final(self, attempt: Attempt) -> None:
        repeat = self._rng.random() < _REPEATED_SHARE
        while True:
            try:
                if await attempt() and not repeat:
                    return
                repeat = False
            except (httpx.HTTPError, OSError):
                pass
            await asyncio.sleep(_RETRY_SECONDS)

    def _order(self) -> Attempt:
        self._order_number += 1
        payload = order(number=self._order_number, placed=datetime.now(UTC), dice=self._rng)
        body = json.dumps(payload, ensure_ascii=False).encode()
        headers = signed_headers(body, self._shop.hook_secret, delivery_id=str(uuid4()))
        event = self._record(str(payload["id"]), ORDERS)

        async def attempt() -> bool:
            response = await self._client.post(self._shop.hook_url, content=body, headers=headers)
            if response.status_code == 200:
                self._acknowledge(event)
                return True
            return self._is_final(response)

        return attempt

    def _visit(self) -> Attempt:
        events = [self._visitor_event() for _ in range(self._rng.randint(1, 4))]
        records = {
            event["id"]: self._record(event["id"], _metric(event["type"])) for event in events
        }
        for event_id, record in records.items():
            record.event_id = event_id
        body = {"siteKey": self._shop.site_key, "events": events}

        async def attempt() -> bool:
            response = await self._client.post("/v1/events", json=body)
            if response.status_code != 202:
                return self._is_final(response)
            for result in response.json()["results"]:
                if result["status"] in ("accepted", "duplicate"):
                    self._acknowledge(records[result["id"]])
                else:
                    self._sent.rejections.append(str(result))
            return True

        return attempt

    def _visitor_event(self) -> dict[str, str]:
        event = {
            "id": str(new_id()),
            "type": "page.viewed",
            "occurredAt": datetime.now(UTC).isoformat(),
            "visitorId": f"visitor-{self._rng.randint(1, 50)}",
            "page": f"/shoes/{self._rng.randint(1, 9)}",
        }
        if self._tenant.claims and self._rng.random() < 0.8:
            claim = self._rng.choice(self._tenant.claims)
            event["type"] = self._rng.choice(["shown", "shown", "clicked", "dismissed"])
            event["claimId"] = claim["id"]
        return event

    def _record(self, key: str, metric: str) -> SentEvent:
        return self._sent.add(SentEvent(self._shop.site_id, key, metric, time.monotonic()))

    def _acknowledge(self, event: SentEvent) -> None:
        if event.acknowledged_at is None:
            self._sent.acknowledge(event, time.monotonic())

    def _is_final(self, response: httpx.Response) -> bool:
        """False for 429 and 5xx, which ask for a retry; any other status is a rejection."""
        if response.status_code == 429 or response.status_code >= 500:
            return False
        self._sent.rejections.append(f"{response.status_code} {response.text[:200]}")
        return True


def _metric(type_: str) -> str:
    return PAGE_VIEWS if type_ == "page.viewed" else type_
