"""The webhook receiver: `POST /hooks/shopify/<integration id>`.

It answers 200 once the webhook is a row of the inbox, from this delivery or an earlier one. An
error has the status that makes the shop do the right thing: 503 to send again, 4xx not to."""

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from uuid import UUID

import msgspec
import structlog
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.status import HTTP_400_BAD_REQUEST, HTTP_404_NOT_FOUND

from subgraphs.integrations import service
from subgraphs.integrations.inbox.senders import STORE_SECONDS, Senders
from subgraphs.integrations.service import Sender, Webhook
from subgraphs.kernel import db, jobs, redis
from subgraphs.kernel.errors import BadUserInput, NotFound, ProofgraphError, Unauthenticated
from subgraphs.kernel.health import add_health
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.retry import is_store_fault

log = structlog.stdlib.get_logger(__name__)

MAX_BODY = 1_048_576
"""Bytes. Shopify's largest orders, with hundreds of line items, have half as many."""

RETRY_AFTER_SECONDS = 30
"""The `Retry-After` of a 503. Shopify has its own schedule; other senders respect the header."""

_COUNT_SECONDS = 1.0
"""Longest time to count a rejected webhook."""

_EVENT_ID = "X-Shopify-Event-Id"
"""Absent in webhooks of older Shopify API versions."""

_PRINTABLE = re.compile(r"[\x21-\x7e]{1,255}")


class TooLarge(BadUserInput):
    http_status = 413


class NotJson(BadUserInput):
    http_status = 422


_senders = Senders()


async def receive(request: Request) -> Response:
    """Receive one webhook; a store that is unavailable becomes a 503."""
    try:
        return await _receive(request.path_params["integration_id"], request)
    except ClientDisconnect:
        return Response(
            status_code=HTTP_400_BAD_REQUEST
        )  # the client has gone; nobody reads the response
    except Exception as error:
        if not is_store_fault(error):
            raise
        log.warning("webhook_deferred", error=type(error).__name__)
        retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return _response(
            503, "UNAVAILABLE", "The webhook cannot be stored right now; send it again.", retry
        )


async def _receive(integration_id: str, request: Request) -> Response:
    """Identify the sender, verify the signature, store the webhook."""
    sender = await _sender(integration_id)
    body = await _body(request)
    if not _is_signed(body, sender.secret(), request.headers.get("x-shopify-hmac-sha256", "")):
        await _count_rejection(sender.integration_id)
        raise Unauthenticated(
            "`X-Shopify-Hmac-Sha256` is missing or does not match the body; check the secret."
        )
    webhook = Webhook(
        delivery_id=_header(request, "X-Shopify-Webhook-Id"),
        event_id=_header(request, _EVENT_ID) if _EVENT_ID in request.headers else None,
        topic=_header(request, "X-Shopify-Topic"),
        body=body,
    )
    error = _json_error(body)
    async with asyncio.timeout(STORE_SECONDS), db.service_transaction() as session:
        is_new = await service.receive(session, sender=sender, webhook=webhook, error=error)
    if error:
        raise NotJson(error)
    wake = BackgroundTask(_outbox_waker().wake) if is_new else None
    return JSONResponse({"status": "received" if is_new else "duplicate"}, background=wake)


async def _sender(integration_id: str) -> Sender:
    try:
        sender = await _senders.find(UUID(integration_id))
    except ValueError:
        sender = None  # not a UUID, so no integration has it
    if sender is None:
        raise NotFound("No integration with this ID.")
    return sender


async def _body(request: Request) -> bytes:
    """The raw body; reading stops when it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge(f"The body has more than {MAX_BODY} bytes.")
    return bytes(body)


def _is_signed(body: bytes, secret: str, signature: str) -> bool:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(digest), signature.encode())


def _header(request: Request, name: str) -> str:
    value = request.headers.get(name, "")
    if not _PRINTABLE.fullmatch(value):
        raise BadUserInput(f"The header {name} must have 1 to 255 printable ASCII characters.")
    return value


def _json_error(body: bytes) -> str | None:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"The body is not JSON: {error}."
    return None if isinstance(content, dict) else "The body is not a JSON object."


async def _count_rejection(integration_id: UUID) -> None:
    try:
        async with asyncio.timeout(_COUNT_SECONDS):
            await redis.client().incr(f"hooks:rejected:{integration_id}")
    except (RedisError, OSError) as error:
        log.warning("rejection_not_counted", error=type(error).__name__)


@lru_cache(maxsize=1)
def _outbox_waker() -> jobs.OutboxWaker:
    return jobs.OutboxWaker()


def _response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def _respond_to_expected(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ProofgraphError):
        raise error
    return _response(error.http_status, error.code, error.message)


async def _respond_to_routing(_request: Request, error: Exception) -> Response:
    """Answer an unknown path, or a method other than POST."""
    if not isinstance(error, HTTPException):
        raise error
    code = "NOT_FOUND" if error.status_code == HTTP_404_NOT_FOUND else "BAD_USER_INPUT"
    return _response(error.status_code, code, error.detail, error.headers)


@asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    configure_logging()
    yield
    await redis.dispose()
    await db.dispose()


app = Starlette(
    routes=[Route("/hooks/shopify/{integration_id}", receive, methods=["POST"])],
    lifespan=_lifespan,
    exception_handlers={ProofgraphError: _respond_to_expected, HTTPException: _respond_to_routing},
)
# Without Redis webhooks are stored all the same; it only counts rejections and wakes the worker.
add_health(app, [partial(db.ping, worker=True)])
