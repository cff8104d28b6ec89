"""The load of the orders benchmark: shops with subscribers, and signed orders over raw HTTP/1.1."""

import asyncio
import json
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, cast
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from deploy.local.demo.merchant import DemoMerchant, Shop
from deploy.local.demo.shopify import order, signed_headers, source_event_id
from deploy.local.demo.subscriber import subscribe_to_claims

_TICK = 0.001
"""Seconds between two checks for due orders."""


class Order(NamedTuple):
    """A request, and the source event that its order becomes."""

    request: bytes
    event_id: str


@dataclass
class Seen:
    """When orders were acknowledged, and when their claims came to the subscribers."""

    acknowledged: dict[str, float] = field(default_factory=dict)
    claimed: dict[str, float] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def claim(self, event_id: str) -> None:
        self.claimed.setdefault(event_id, time.monotonic())
        self._changed.set()

    async def all_claimed(self, seconds: float) -> None:
        """Return once every acknowledged order has its claim, or after this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self.claimed) < len(self.acknowledged):
                    self._changed.clear()
                    await self._changed.wait()

    def missing(self) -> int:
        return len(self.acknowledged.keys() - self.claimed.keys())


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request in flight."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._order: Order | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._load.free.append(self)

    def send(self, one: Order) -> None:
        assert self._transport is not None
        self._order = one
        self._transport.write(one.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"}"):  # every response is one small JSON object
            return
        status, self._received = int(self._received[9:12]), b""
        assert self._order is not None
        self._load.answered(self, self._order, status)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class Load:
    """Sends orders over a pool of connections."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._waiting: deque[Order] = deque()
        self._unanswered = 0
        self._idle = asyncio.Event()
        self._connections: list[Connection] = []
        self.free: deque[Connection] = deque()
        self.statuses: Counter[int] = Counter()

    async def connect(self, url: str, count: int) -> None:
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, connection = await loop.create_connection(
                lambda: Connection(self), address.hostname, address.port
            )
            self._connections.append(connection)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    async def at_rate(self, orders: Sequence[Order], rate: float) -> None:
        """Send each order when it is due, whether earlier ones are answered or not."""
        start, sent = time.monotonic(), 0
        while sent < len(orders):
            due = min(len(orders), int((time.monotonic() - start) * rate) + 1)
            for one in orders[sent:due]:
                self._send(one)
            sent = due
            await asyncio.sleep(_TICK)
        await self._idle.wait()

    async def at_full_speed(self, orders: Sequence[Order], seconds: float) -> float:
        """Send the next order on each connection as soon as it is free; returns the duration."""
        start = time.monotonic()
        for one in orders:
            self._send(one)
        with_time = asyncio.get_running_loop().call_later(seconds, self._waiting.clear)
        await self._idle.wait()
        with_time.cancel()
        return time.monotonic() - start

    def answered(self, connection: Connection, one: Order, status: int) -> None:
        self.statuses[status] += 1
        if status == 200:
            self._seen.acknowledged[one.event_id] = time.monotonic()
        self._unanswered -= 1
        if self._waiting:
            self._unanswered += 1
            connection.send(self._waiting.popleft())
            return
        self.free.append(connection)
        if not self._unanswered:
            self._idle.set()

    def _send(self, one: Order) -> None:
        self._idle.clear()
        if self.free:
            self._unanswered += 1
            self.free.popleft().send(one)
        else:
            self._waiting.append(one)


class Orders:
    """Makes orders of the shops in turn, each with a number of its own."""

    def __init__(self, shops: Sequence[Shop]) -> None:
        self._shops = shops
        self._number = 1_000_000
        self._dice = random.Random(7)

    def make(self, count: int) -> list[Order]:
        return [self._one() for _ in range(count)]

    def _one(self) -> Order:
        self._number += 1
        shop = self._shops[self._number % len(self._shops)]
        payload = order(number=self._number, placed=datetime.now(UTC), rng=self._dice)
        body = json.dumps(payload, ensure_ascii=False).encode()
        headers = {
            "Host": "shop.example.com",
            "User-Agent": "Shopify-Captain-Hook",
            "Content-Length": str(len(body)),
            **signed_headers(body, shop.hook_secret, delivery_id=str(uuid4())),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {urlsplit(shop.hook_url).path} HTTP/1.1\r\n{lines}\r\n"
        return Order(head.encode() + body, source_event_id(payload, shop.site_id))


async def new_shops(client: httpx.AsyncClient, count: int) -> list[Shop]:
    shops = []
    for _ in range(count):
        merchant, name = DemoMerchant(client), uuid4().hex
        await merchant.sign_up(
            f"{name}@example.com", "correct horse", full_name="Anna Berg", account=name
        )
        shops.append(await merchant.create_shop(name="Shoes", domain=f"{name}.localhost"))
    return shops


async def watch(url: str, shop: Shop, seen: Seen, ready: asyncio.Event) -> None:
    """Note when each claim of the shop comes to a subscriber at the public port."""
    async with subscribe_to_claims(url, shop.site_key) as claims:
        ready.set()
        async for claim in claims:
            for event_id in claim["sourceEventIds"]:
                seen.claim(event_id)
