"""Buyers and visitors: they send again, with the same ids, what was not acknowledged."""

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
from tests.chaos.tenants import Tenant
from tests.chaos.traces import ORDERS, PAGE_VIEWS, Trace, Traces

ORDERS_EVERY = 0.3
VISITS_EVERY = 0.2
"""Seconds between two requests of one shop. Enough that something is in flight at every moment, far
below what any plan lets through."""

_AT_ONCE = 40
"""Requests of one shop that wait for their acknowledgement; above it nobody comes any more."""

_AGAIN_SECONDS = 0.25
_ANSWER_SECONDS = 3.0
_REPEATED = 0.05
"""How many requests are sent once more though they were acknowledged: the answer was not read."""

_BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/143.0.0.0 Safari/537.36"
)

Attempt = Callable[[], Awaitable[bool]]
"""Sends once; whether that was the end of it."""


class Load:
    """What happens at one shop, until it is told to stop.

    Args:
        index: makes order numbers that no other shop of the run has.
    """

    def __init__(
        self, tenant: Tenant, traces: Traces, url: str, *, index: int, dice: random.Random
    ) -> None:
        self._tenant = tenant
        self._shop = tenant.shop
        self._traces = traces
        self._dice = dice
        self._number = 1_000_000 * (index + 1)
        self._stopping = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(
            base_url=url, timeout=_ANSWER_SECONDS, headers={"User-Agent": _BROWSER}
        )

    async def run(self) -> None:
        """Send at a steady pace; returns once all that was sent is acknowledged."""
        async with self._client:
            await asyncio.gather(
                self._pace(ORDERS_EVERY, self._order), self._pace(VISITS_EVERY, self._visit)
            )
            while self._sending:
                await asyncio.wait(self._sending)

    def stop(self) -> None:
        """Send nothing new."""
        self._stopping.set()

    async def _pace(self, every: float, make: Callable[[], Attempt]) -> None:
        while not self._stopping.is_set():
            if len(self._sending) < _AT_ONCE:
                task = asyncio.create_task(self._insist(make()))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
            await asyncio.sleep(every * self._dice.uniform(0.5, 1.5))

    async def _insist(self, attempt: Attempt) -> None:
        repeats = self._dice.random() < _REPEATED
        while True:
            try:
                if await attempt() and not repeats:
                    return
                repeats = False
            except (httpx.HTTPError, OSError):
                pass
            await asyncio.sleep(_AGAIN_SECONDS)

    def _order(self) -> Attempt:
        self._number += 1
        payload = order(number=self._number, placed=datetime.now(UTC), dice=self._dice)
        body = json.dumps(payload, ensure_ascii=False).encode()
        headers = signed_headers(body, self._shop.hook_secret, delivery_id=str(uuid4()))
        trace = self._trace(str(payload["id"]), ORDERS)

        async def attempt() -> bool:
            answer = await self._client.post(self._shop.hook_url, content=body, headers=headers)
            if answer.status_code == 200:
                self._acknowledge(trace)
                return True
            return self._is_final(answer)

        return attempt

    def _visit(self) -> Attempt:
        events = [self._event() for _ in range(self._dice.randint(1, 4))]
        traces = {event["id"]: self._trace(event["id"], _metric(event["type"])) for event in events}
        for event_id, trace in traces.items():
            trace.event_id = event_id
        body = {"siteKey": self._shop.site_key, "events": events}

        async def attempt() -> bool:
            answer = await self._client.post("/v1/events", json=body)
            if answer.status_code != 202:
                return self._is_final(answer)
            for result in answer.json()["results"]:
                if result["status"] in ("accepted", "duplicate"):
                    self._acknowledge(traces[result["id"]])
                else:
                    self._traces.refused.append(str(result))
            return True

        return attempt

    def _event(self) -> dict[str, str]:
        event = {
            "id": str(new_id()),
            "type": "page.viewed",
            "occurredAt": datetime.now(UTC).isoformat(),
            "visitorId": f"visitor-{self._dice.randint(1, 50)}",
            "page": f"/shoes/{self._dice.randint(1, 9)}",
        }
        if self._tenant.claims and self._dice.random() < 0.8:
            claim = self._dice.choice(self._tenant.claims)
            event["type"] = self._dice.choice(["shown", "shown", "clicked", "dismissed"])
            event["claimId"] = claim["id"]
        return event

    def _trace(self, key: str, metric: str) -> Trace:
        return self._traces.add(Trace(self._shop.site_id, key, metric, time.monotonic()))

    def _acknowledge(self, trace: Trace) -> None:
        if trace.acknowledged is None:
            self._traces.acknowledge(trace, time.monotonic())

    def _is_final(self, answer: httpx.Response) -> bool:
        """429 and 5xx ask to come again; any other answer is one we did not earn."""
        if answer.status_code == 429 or answer.status_code >= 500:
            return False
        self._traces.refused.append(f"{answer.status_code} {answer.text[:200]}")
        return True


def _metric(type_: str) -> str:
    return PAGE_VIEWS if type_ == "page.viewed" else type_
