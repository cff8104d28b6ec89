"""The pages app of the local stack: `router.pages`, and the start page with its demo.

    GET  /             the start page: what runs, the addresses, the demo log-in
    GET  /demo/status  what the start page shows, as JSON
    POST /demo/order   sends one order of the demo shop; 202 {"orderId", "eventId"}

Only the local stack runs this app. A deployment runs `router.pages.app`, which answers 404 to all
three. They serve a password and change data, so they accept requests of this machine only: the
client's address is loopback, the Host names this machine (no DNS rebinding), and no page of another
origin sends the request.
"""

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.status import (
    HTTP_202_ACCEPTED,
    HTTP_403_FORBIDDEN,
    HTTP_405_METHOD_NOT_ALLOWED,
    HTTP_409_CONFLICT,
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_502_BAD_GATEWAY,
)

from deploy.local.demo.shopify import deliver, order_now, source_event_id
from deploy.local.stack.stack import default_state
from deploy.local.stack.state import DEMO_FILE, ROOT, STACK_FILE, State
from router.pages.app import DIST, PAGE_HEADERS, Files, Headers
from router.pages.app import create_app as create_pages

_LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")
_CLIENT_ADDRESS = "x-envoy-external-address"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PRIVATE = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"}
_FROM_OTHER_SITES = {"cross-site", "same-site"}

_ORDER_SECONDS = 8.0
"""Longest time to send an order; Envoy waits 10 s for the response."""

_MAX_ORDERS = 4
"""Orders sent at once; this process also serves the snippet and must not wait for a burst."""

_RUN_DEMO = "run `make demo` in a shell"


def create_app(state_folder: Path, dist: Path = DIST) -> Starlette:
    """The pages of a local stack on a state folder, as built into `dist`."""
    files = Files(dist / "start")
    client = httpx.AsyncClient(trust_env=False, timeout=_ORDER_SECONDS)
    sending = asyncio.Semaphore(_MAX_ORDERS)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    async def start(request: Request) -> Response:
        page = await files.get_response("start.html", request.scope)
        page.headers.update(PAGE_HEADERS)
        return page

    async def status(request: Request) -> Response:
        if refusal := _refuse_others(request):
            return refusal
        return JSONResponse(_status(State(state_folder)), headers=_PRIVATE)

    async def order(request: Request) -> Response:
        if request.method != "POST":
            message = "This address accepts POST only, which sends a demo order."
            refused = _error(HTTP_405_METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
            refused.headers["Allow"] = "POST"
            return refused
        if refusal := _refuse_others(request):
            return refusal
        state = State(state_folder)
        stack, demo = state.read(STACK_FILE), state.read(DEMO_FILE)
        if demo is None:
            message = f"There is no demo merchant yet: {_RUN_DEMO}."
            return _error(HTTP_409_CONFLICT, "CONFLICT", message)
        if sending.locked():
            message = f"{_MAX_ORDERS} demo orders are being sent; try again in a second."
            busy = _error(HTTP_429_TOO_MANY_REQUESTS, "RATE_LIMITED", message)
            busy.headers["Retry-After"] = "1"
            return busy
        async with sending:
            return await _send_order(client, stack["urls"]["public"], demo)

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", start),
            Route("/demo/status", status),
            Route("/demo/order", order, methods=_METHODS),
            Mount("/demo/start", Headers(files, PAGE_HEADERS)),
            Mount("/", create_pages(dist)),
        ],
    )


def _status(state: State) -> dict[str, Any]:
    stack: dict[str, Any] = state.read(STACK_FILE) or {}
    demo: dict[str, Any] | None = state.read(DEMO_FILE)
    parts = stack.get("parts", {})
    shown = ("email", "password", "siteKey")
    return {
        "parts": [{"name": name, "state": parts[name]} for name in parts],
        "gateway": "router" if "router" in parts else "embedded",
        "stateFolder": _short_path(state.folder),
        "demo": {name: demo[name] for name in shown} if demo else None,
    }


def _short_path(folder: Path) -> str:
    """A folder of the checkout relative to it; any other one as it is."""
    return str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder)


async def _send_order(client: httpx.AsyncClient, public_url: str, demo: dict[str, Any]) -> Response:
    order = order_now()
    # The public port may have changed since the demo ran.
    address = public_url + urlsplit(demo["shopify"]["url"]).path
    try:
        # Through the public port, like a shop's own webhook.
        async with asyncio.timeout(_ORDER_SECONDS):
            response = await deliver(client, address, demo["shopify"]["secret"], order)
    except (httpx.HTTPError, TimeoutError) as error:
        message = f"The webhook receiver does not answer ({error or type(error).__name__})."
        return _error(HTTP_502_BAD_GATEWAY, "UNAVAILABLE", message)
    if response.status_code in (401, 404):
        message = f"The database does not know the demo merchant's shop: {_RUN_DEMO}."
        return _error(HTTP_409_CONFLICT, "CONFLICT", message)
    if response.status_code != 200:
        message = f"The webhook receiver answered {response.status_code}: try again in a moment."
        return _error(HTTP_502_BAD_GATEWAY, "UNAVAILABLE", message)
    sent = {"orderId": str(order["id"]), "eventId": source_event_id(order, demo["siteId"])}
    return JSONResponse(sent, HTTP_202_ACCEPTED, headers=_PRIVATE)


def _refuse_others(request: Request) -> Response | None:
    """A 403 if the request comes from another machine or from a page of another origin."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if not _LOCAL_HOST.fullmatch(host) or not _is_loopback(request):
        message = "This address accepts requests of this machine only: open http://localhost."
    elif origin not in (None, f"http://{host}", f"https://{host}") or site in _FROM_OTHER_SITES:
        message = "A page of another origin may not use the demo."
    else:
        return None
    return _error(HTTP_403_FORBIDDEN, "FORBIDDEN", message)


def _is_loopback(request: Request) -> bool:
    # Envoy sets this header on every request and removes it from what clients send. Its
    # X-Forwarded-For is of no use: for a client on loopback it has the machine's own address.
    address = request.headers.get(_CLIENT_ADDRESS) or (request.client and request.client.host)
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=_PRIVATE)


app = create_app(default_state())
