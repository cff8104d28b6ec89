"""The door for shops: `POST /hooks/shopify/<integration id>`.

Answers 200 once the webhook is one row in the inbox, whether this delivery put it there or an
earlier one. What goes wrong is told with the status that makes the shop do the right thing: send
again later (503), or not (4xx).
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from uuid import UUID

import msgspec
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

log = logging.getLogger(__name__)

MAX_BODY = 1_048_576
"""Bytes. Shopify's largest orders, with hundreds of line items, come to half of it."""

RETRY_AFTER_SECONDS = 30
"""When to come again after a 503; Shopify has a schedule of its own, other senders may listen."""

_COUNT_SECONDS = 1.0
"""How long a refusal waits to be counted."""

_EVENT_ID = "X-Shopify-Event-Id"
"""May be absent: webhooks from before Shopify had it."""

_PRINTABLE = re.compile(r"[\x21-\x7e]{1,255}")


class TooLarge(BadUserInput):
    http_status = 413


class NotJson(BadUserInput):
    http_status = 422


_senders = Senders()


async def receive(request: Request) -> Response:
    """One webhook, answered whatever happens to the stores meanwhile."""
    try:
        return await _receive(request.path_params["integration_id"], request)
    except ClientDisconnect:
        return Response(status_code=HTTP_400_BAD_REQUEST)  # nobody is there to read it
    except Exception as error:
        if not is_store_fault(error):
            raise
        log.warning("a webhook was put off: %s", type(error).__name__)
        retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return _answer(503, "UNAVAILABLE", "It cannot be kept right now; send it again.", retry)


async def _receive(integration_id: str, request: Request) -> Response:
    """Who sends it, is it theirs, keep it."""
    sender = await _sender(integration_id)
    body = await _body(request)
    if not _is_signed(body, sender.secret(), request.headers.get("x-shopify-hmac-sha256", "")):
        await _count_refusal(sender.integration_id)
        raise Unauthenticated("The signature is missing or does not match the body.")
    webhook = Webhook(
        delivery_id=_header(request, "X-Shopify-Webhook-Id"),
        event_id=_header(request, _EVENT_ID) if _EVENT_ID in request.headers else None,
        topic=_header(request, "X-Shopify-Topic"),
        body=body,
    )
    error = _why_not_json(body)
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
        sender = None  # no UUID, so nothing has it
    if sender is None:
        raise NotFound("There is no such integration.")
    return sender


async def _body(request: Request) -> bytes:
    """The raw body, let go of as soon as it is too large."""
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
        raise BadUserInput(f"The header {name} must have 1 to 255 letters, digits and signs.")
    return value


def _why_not_json(body: bytes) -> str | None:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"The body is not JSON: {error}."
    return None if isinstance(content, dict) else "The body is not a JSON object."


async def _count_refusal(integration_id: UUID) -> None:
    try:
        async with asyncio.timeout(_COUNT_SECONDS):
            await redis.client().incr(f"hooks:rejected:{integration_id}")
    except (RedisError, OSError) as error:
        log.warning("a refused webhook was not counted: %s", type(error).__name__)


@lru_cache(maxsize=1)
def _outbox_waker() -> jobs.OutboxWaker:
    return jobs.OutboxWaker()


def _answer(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def _answer_expected(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ProofgraphError):
        raise error
    return _answer(error.http_status, error.code, error.message)


async def _answer_routing(_request: Request, error: Exception) -> Response:
    """No such path, or another method than POST."""
    if not isinstance(error, HTTPException):
        raise error
    code = "NOT_FOUND" if error.status_code == HTTP_404_NOT_FOUND else "BAD_USER_INPUT"
    return _answer(error.status_code, code, error.detail, error.headers)


@asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    configure_logging()
    yield
    await redis.dispose()
    await db.dispose()


app = Starlette(
    routes=[Route("/hooks/shopify/{integration_id}", receive, methods=["POST"])],
    lifespan=_lifespan,
    exception_handlers={ProofgraphError: _answer_expected, HTTPException: _answer_routing},
)
# Redis only counts and wakes: without it webhooks are kept all the same.
add_health(app, [partial(db.ping, worker=True)])
