"""The webhook receiver: `POST /hooks/shopify/<integration id>`.

It answers 200 once the webhook is a row of the inbox, from this delivery or an earlier one. An
error has the status that makes the shop do the right thing: 503 to send again, 4xx not to.

A webhook is received without Starlette, whose layers cost more than all else here. Other paths and
methods go to Starlette.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from uuid import UUID

import structlog
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from subgraphs.integrations.inbox import store
from subgraphs.integrations.inbox.fair_queue import Space
from subgraphs.integrations.inbox.group_commit import GroupCommit
from subgraphs.integrations.inbox.request import Disconnected, Headers, is_signed, json_error, read
from subgraphs.integrations.inbox.responses import NotJson, not_found_app, respond, respond_error
from subgraphs.integrations.inbox.senders import STORE_SECONDS, KnownSender, Senders
from subgraphs.integrations.inbox.store import NewWebhook
from subgraphs.kernel import cancellation, jobs, redis, task_names, worker_pool
from subgraphs.kernel.backlog import Backlog
from subgraphs.kernel.errors import NotFound, ProofgraphError, Unauthenticated, Unavailable
from subgraphs.kernel.health import add_health
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.retry import is_store_fault

log = structlog.stdlib.get_logger(__name__)

SPACE = 32 * 1_048_576
"""Bytes of webhooks in memory. A site that floods has room for a second's work."""

REQUEST_BYTES = 8_192
"""What a request occupies beside its body: its task, its headers, the connection's buffers."""

FULL = 20_000
"""Live webhooks in the inbox that wait for processing: some ten seconds of a worker's time."""

_COUNT_SECONDS = 1.0
"""Longest time to count a rejected webhook."""

_PATH = "/hooks/shopify/"


class Receiver:
    """Receives webhooks; create it within the event loop that serves them."""

    def __init__(self) -> None:
        self._senders = Senders()
        self._space = Space(SPACE)
        self._commit = GroupCommit(store.insert, self._wake, seconds=STORE_SECONDS)
        self._backlog = Backlog(lambda _: 0, full=FULL)
        self._waker = jobs.Waker(task_names.PROCESS_INBOX, queue=task_names.INBOX_QUEUE)
        self._waking: set[asyncio.Task[None]] = set()

    async def watch_backlog(self) -> None:
        """Watch the inbox until cancelled, and refuse the sites that fill it."""

        async def waiting() -> list[int]:
            return [await store.count_waiting(FULL)]

        await self._backlog.watch(waiting)

    async def receive_webhook(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one webhook; a store that is unavailable becomes a 503."""
        try:
            is_new = await self._receive(scope, receive)
        except Disconnected:
            return
        except ProofgraphError as error:
            await respond_error(send, error)
        except Exception as error:
            if not is_store_fault(error):
                raise
            log.warning("webhook_deferred", error=type(error).__name__)
            message = "The webhook cannot be stored right now; send it again."
            await respond_error(send, Unavailable(message))
        else:
            await respond(send, is_new=is_new)

    async def _receive(self, scope: Scope, receive: Receive) -> bool:
        """Identify the sender, read the body within the site's share of the space, store it."""
        known = await self._sender(scope["path"].removeprefix(_PATH))
        site_id = known.sender.site_id
        if self._backlog.refuses(str(site_id), 1):
            raise Unavailable("This site sends webhooks faster than they are processed.")
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            self._space.take(site_id, size)
            taken += size

        try:
            take(REQUEST_BYTES)
            body = await read(receive, take)
            return await self._store(known, Headers.of(scope["headers"]), body)
        finally:
            self._space.give_back(site_id, taken)

    async def _store(self, known: KnownSender, headers: Headers, body: bytes) -> bool:
        sender = known.sender
        if not is_signed(body, known.secret, headers.signature):
            await _count_rejection(sender.integration_id)
            raise Unauthenticated(
                "`X-Shopify-Hmac-Sha256` is missing or does not match the body; check the secret."
            )
        headers.check()
        webhook = NewWebhook(
            id=new_id(),
            account_id=sender.account_id,
            site_id=sender.site_id,
            integration_id=sender.integration_id,
            delivery_id=headers.delivery_id.decode(),
            event_id=None if headers.event_id is None else headers.event_id.decode(),
            topic=headers.topic.decode(),
            body=body,
            error=json_error(body),
        )
        async with asyncio.timeout(STORE_SECONDS):
            is_new = await self._commit.store(webhook)
        if webhook.error:
            raise NotJson(webhook.error)
        return is_new

    async def _sender(self, integration_id: str) -> KnownSender:
        try:
            id_ = UUID(integration_id)
        except ValueError:  # not a UUID, so no integration has it
            raise NotFound("No integration with this ID.") from None
        known = self._senders.cached(id_) or await self._senders.find(id_)
        if known is None:
            raise NotFound("No integration with this ID.")
        return known

    def _wake(self) -> None:
        """Wake the worker; Celery's client blocks, so this takes a thread."""
        task = asyncio.get_running_loop().create_task(self._waker.wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)


async def _count_rejection(integration_id: UUID) -> None:
    try:
        async with asyncio.timeout(_COUNT_SECONDS):
            await redis.client().incr(f"hooks:rejected:{integration_id}")
    except (RedisError, OSError) as error:
        log.warning("rejection_not_counted", error=type(error).__name__)


@lru_cache(maxsize=1)
def _receiver() -> Receiver:
    return Receiver()


@asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    configure_logging()
    watching = asyncio.create_task(_receiver().watch_backlog())
    yield
    await cancellation.cancel_and_wait(watching)
    await redis.dispose()
    await worker_pool.dispose()


_others = not_found_app(_PATH, _lifespan)
# Without Redis webhooks are stored all the same; it only counts rejections and wakes the worker.
add_health(_others, [worker_pool.ping])


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI app."""
    if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith(_PATH):
        await _receiver().receive_webhook(scope, receive, send)
    else:
        await _others(scope, receive, send)
