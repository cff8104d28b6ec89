"""The webhook receiver, on the real PostgreSQL and Redis."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from deploy.local.demo.shopify import signed_headers
from subgraphs.integrations import service
from subgraphs.integrations.inbox.receiver import app
from subgraphs.integrations.inbox.request import MAX_BODY
from subgraphs.integrations.models import InboxItem
from subgraphs.kernel import db, redis, worker_pool
from subgraphs.kernel.config import settings
from tests.fixtures.ports import free_port
from tests.fixtures.shop import Shop, new_shop

pytestmark = pytest.mark.usefixtures("stores")

ORDER = json.dumps({"id": 1, "name": "Zoë"}, ensure_ascii=False).encode()


@dataclass
class Sender:
    """A connected shop, and a client of the webhook receiver."""

    shop: Shop
    integration_id: UUID
    secret: str
    receiver: httpx.AsyncClient
    delivery_id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def path(self) -> str:
        return f"/hooks/shopify/{self.integration_id}"

    def headers(self, body: bytes, **changes: str | None) -> dict[str, str]:
        made = signed_headers(body, self.secret, delivery_id=self.delivery_id)
        named = {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in {**made, **named}.items() if value is not None}

    async def send(self, body: bytes = ORDER, **changes: str | None) -> httpx.Response:
        return await self.receiver.post(
            self.path, content=body, headers=self.headers(body, **changes)
        )

    async def inbox(self) -> Sequence[InboxItem]:
        statement = select(InboxItem).where(InboxItem.integration_id == self.integration_id)
        async with db.service_transaction() as session:
            return (await session.scalars(statement)).all()

    async def refusals(self) -> int:
        return int(await redis.client().get(f"hooks:rejected:{self.integration_id}") or 0)


@pytest.fixture
async def receiver() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://inbox") as client:
        yield client


async def new_sender(receiver: httpx.AsyncClient) -> Sender:
    """A new shop with Shopify connected."""
    shop = await new_shop()
    async with db.transaction(shop.owner) as session:
        row, secret = await service.connect_shopify(
            session, account_id=shop.account_id, site_id=shop.site_id
        )
    return Sender(shop, row.id, secret, receiver)


@pytest.fixture
async def sender(receiver: httpx.AsyncClient) -> Sender:
    return await new_sender(receiver)


def error_of(response: httpx.Response) -> tuple[int, str]:
    assert set(response.json()) == {"error"}
    assert response.json()["error"]["message"]
    return response.status_code, response.json()["error"]["code"]


async def test_a_webhook_is_stored_unchanged(sender: Sender) -> None:
    answer = await sender.send(X_Shopify_Event_Id="e-1")

    assert (answer.status_code, answer.json()) == (200, {"status": "received"})
    (row,) = await sender.inbox()
    assert (row.body, row.topic) == (ORDER, "orders/create")
    assert (row.delivery_id, row.event_id) == (sender.delivery_id, "e-1")
    assert (row.site_id, row.account_id) == (sender.shop.site_id, sender.shop.account_id)
    assert (row.status, row.error, row.processed_at) == ("RECEIVED", None, None)
    assert abs((datetime.now(UTC) - row.received_at).total_seconds()) < 10


async def test_repeated_and_concurrent_deliveries_make_one_row(
    sender: Sender,
) -> None:
    at_once = await asyncio.gather(sender.send(), sender.send())
    later = [await sender.send() for _ in range(3)]

    answers = [answer.json()["status"] for answer in [*at_once, *later]]
    assert sorted(answers) == ["duplicate"] * 4 + ["received"]
    assert {answer.status_code for answer in [*at_once, *later]} == {200}
    assert len(await sender.inbox()) == 1


async def test_a_second_delivery_with_another_body_changes_nothing(sender: Sender) -> None:
    await sender.send()

    answer = await sender.send(b'{"id": 2}')

    assert answer.json() == {"status": "duplicate"}
    assert [row.body for row in await sender.inbox()] == [ORDER]


async def test_two_shops_may_use_the_same_delivery_id(sender: Sender) -> None:
    async with db.transaction(sender.shop.owner) as session:
        row, secret = await service.connect_shopify(
            session, account_id=sender.shop.account_id, site_id=sender.shop.site_id
        )
    other = Sender(sender.shop, row.id, secret, sender.receiver, sender.delivery_id)

    answers = [await sender.send(), await other.send()]

    assert [answer.json()["status"] for answer in answers] == ["received", "received"]
    assert (len(await sender.inbox()), len(await other.inbox())) == (1, 1)


async def test_a_webhook_without_an_event_id_is_accepted(sender: Sender) -> None:
    answer = await sender.send(X_Shopify_Event_Id=None)

    assert answer.status_code == 200
    assert [row.event_id for row in await sender.inbox()] == [None]


@pytest.mark.parametrize(
    "signature",
    [None, "", "bm90IGl0", "not base64 \xe9", "0" * 64, "x" * 5_000],
)
async def test_a_bad_signature_stores_nothing_and_is_counted(
    sender: Sender, signature: str | None
) -> None:
    headers = sender.headers(ORDER)
    headers.pop("X-Shopify-Hmac-Sha256")
    raw = httpx.Headers(headers, encoding="latin-1")
    if signature is not None:
        raw["X-Shopify-Hmac-Sha256"] = signature

    answer = await sender.receiver.post(sender.path, content=ORDER, headers=raw)

    assert error_of(answer) == (401, "UNAUTHENTICATED")
    assert await sender.inbox() == []
    assert await sender.refusals() == 1


async def test_a_body_altered_by_one_byte_is_rejected(sender: Sender) -> None:
    headers = sender.headers(ORDER)

    answer = await sender.receiver.post(sender.path, content=ORDER + b" ", headers=headers)

    assert error_of(answer) == (401, "UNAUTHENTICATED")
    assert await sender.inbox() == []


async def test_a_signature_with_another_shops_secret_is_rejected(sender: Sender) -> None:
    other = Sender(sender.shop, sender.integration_id, "f" * 64, sender.receiver)

    assert error_of(await other.send()) == (401, "UNAUTHENTICATED")
    assert await sender.inbox() == []


@pytest.mark.parametrize("id_", [str(UUID(int=7)), "nonsense", "%00", "1" * 5_000])
async def test_an_unknown_integration_is_not_found(sender: Sender, id_: str) -> None:
    headers = sender.headers(ORDER)

    answer = await sender.receiver.post(f"/hooks/shopify/{id_}", content=ORDER, headers=headers)

    assert error_of(answer) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "changes",
    [
        {"X_Shopify_Webhook_Id": None},
        {"X_Shopify_Webhook_Id": ""},
        {"X_Shopify_Webhook_Id": "x" * 256},
        {"X_Shopify_Webhook_Id": "a b"},
        {"X_Shopify_Topic": None},
        {"X_Shopify_Topic": "x" * 256},
        {"X_Shopify_Event_Id": "x" * 256},
    ],
)
async def test_a_missing_or_too_long_header_is_rejected(
    sender: Sender, changes: dict[str, str | None]
) -> None:
    assert error_of(await sender.send(ORDER, **changes)) == (400, "BAD_USER_INPUT")
    assert await sender.inbox() == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "The body is not JSON: Input data was truncated."),
        (b"a=1", "The body is not JSON: JSON is malformed: invalid character (byte 0)."),
        (b'{"id": "\xff"}', "The body is not JSON: 'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, "The body is not JSON: maximum recursion depth exceeded"),
        (b"[1]", "The body is not a JSON object."),
        (b'"text"', "The body is not a JSON object."),
        (b"null", "The body is not a JSON object."),
    ],
    ids=["empty", "form", "latin-1", "deep", "list", "text", "null"],
)
async def test_a_body_that_is_no_json_object_is_stored_as_rejected(
    sender: Sender, body: bytes, reason: str
) -> None:
    answers = [await sender.send(body) for _ in range(2)]

    assert [error_of(answer) for answer in answers] == [(422, "BAD_USER_INPUT")] * 2
    (row,) = await sender.inbox()
    assert (row.status, row.body) == ("REJECTED", body)
    assert row.error is not None
    assert row.error.startswith(reason)
    assert row.processed_at is not None


async def test_the_largest_body_is_accepted_and_one_byte_more_is_not(sender: Sender) -> None:
    largest = b'{"note":"' + b"x" * (MAX_BODY - 11) + b'"}'
    assert len(largest) == MAX_BODY

    assert error_of(await sender.send(largest + b" ")) == (413, "BAD_USER_INPUT")
    assert await sender.inbox() == []
    assert (await sender.send(largest)).status_code == 200
    assert [len(row.body) for row in await sender.inbox()] == [MAX_BODY]


async def test_an_endless_body_is_rejected_at_the_limit(sender: Sender) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b"x" * 65_536

    headers = sender.headers(ORDER)
    answer = await sender.receiver.post(sender.path, content=endless(), headers=headers)

    assert error_of(answer) == (413, "BAD_USER_INPUT")
    assert sent == MAX_BODY + 65_536


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_post_is_accepted(sender: Sender, method: str) -> None:
    answer = await sender.receiver.request(method, sender.path)

    assert error_of(answer) == (405, "BAD_USER_INPUT")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/", "/hooks", "/hooks/woocommerce/x", "/docs", "/openapi.json"])
async def test_other_paths_are_not_found(receiver: httpx.AsyncClient, path: str) -> None:
    assert error_of(await receiver.get(path)) == (404, "NOT_FOUND")


@asynccontextmanager
async def without_database() -> AsyncIterator[None]:
    """The same process while its database is gone."""
    await worker_pool.dispose()
    with pytest.MonkeyPatch.context() as patch:
        nowhere = f"postgresql://proofgraph_worker@127.0.0.1:{free_port()}/gone"
        patch.setenv("WORKER_DATABASE_URL", nowhere)
        settings.cache_clear()
        yield
        await worker_pool.dispose()
    settings.cache_clear()


async def test_while_the_database_is_down_the_shop_gets_503(sender: Sender) -> None:
    async with without_database():
        put_off = await sender.send()
        health = [(await sender.receiver.get(path)).status_code for path in ("/readyz", "/healthz")]

    assert error_of(put_off) == (503, "UNAVAILABLE")
    assert put_off.headers["retry-after"] == "30"
    assert health == [503, 200]
    assert (await sender.send()).json() == {"status": "received"}


async def test_a_cached_sender_gets_503_too_while_the_database_is_down(sender: Sender) -> None:
    await sender.send()
    sender.delivery_id = str(uuid4())

    async with without_database():
        put_off = await sender.send()

    assert error_of(put_off) == (503, "UNAVAILABLE")
    assert (await sender.send()).json() == {"status": "received"}
    assert len(await sender.inbox()) == 2


async def test_the_receiver_is_ready_when_its_database_is(
    receiver: httpx.AsyncClient,
) -> None:
    assert (await receiver.get("/healthz")).text == "ok"
    assert (await receiver.get("/readyz")).text == "ok"
