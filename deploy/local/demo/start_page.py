"""The pages app of the local stack: `router.pages`, and the start page with its demo.

    GET  /             the start page: what runs, the addresses, the demo log-in
    GET  /demo/status  what the start page shows, as JSON
    POST /demo/order   sends one order of the demo shop; 202 {"orderId", "eventId"}

The local stack alone runs this app. A deployment runs `router.pages.app`, which answers 404 to all
three. They serve a password and change data, so they answer this machine alone: the client's
address must be loopback, the Host must name this machine (no DNS rebinding), and a request that a
page of another origin sends is refused.
"""

import ipaddress
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
    HTTP_502_BAD_GATEWAY,
)

from deploy.local.demo.shopify import deliver, order_now, source_event_id
from deploy.local.stack.stack import default_state
from deploy.local.stack.state import DEMO_FILE, ROOT, STACK_FILE, State
from router.pages.app import DIST, PAGE_HEADERS, Files, Headers
from router.pages.app import create_app as create_pages

_HERE = {"localhost", "127.0.0.1", "::1"}
_CLIENT_ADDRESS = "x-envoy-external-address"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_NO_STORE = {"Cache-Control": "no-store"}
_REQUEST_SECONDS = 10
_RUN_DEMO = "run `make demo` in a shell"


def create_app(state_folder: Path, dist: Path = DIST) -> Starlette:
    """The pages of a local stack on a state folder, as built into `dist`."""
    files = Files(dist / "start")

    async def start(request: Request) -> Response:
        page = await files.get_response("start.html", request.scope)
        page.headers.update(PAGE_HEADERS)
        return page

    async def status(request: Request) -> Response:
        if refusal := _refuse_others(request):
            return refusal
        return JSONResponse(_status(State(state_folder)), headers=_NO_STORE)

    async def order(request: Request) -> Response:
        if request.method != "POST":
            message = "This address takes POST alone, which sends a demo order."
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
        return await _send_order(stack["urls"]["public"], demo)

    return Starlette(
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


async def _send_order(public_url: str, demo: dict[str, Any]) -> Response:
    order = order_now()
    # The public port may be another one than when the demo ran.
    address = public_url + urlsplit(demo["shopify"]["url"]).path
    try:
        # Through the public port, as a shop's own webhook comes.
        async with httpx.AsyncClient(trust_env=False, timeout=_REQUEST_SECONDS) as client:
            response = await deliver(client, address, demo["shopify"]["secret"], order)
    except httpx.HTTPError as error:
        message = f"The webhook receiver does not answer ({error or type(error).__name__})."
        return _error(HTTP_502_BAD_GATEWAY, "UNAVAILABLE", message)
    if response.status_code in (401, 404):
        message = f"The database does not know the demo merchant's shop: {_RUN_DEMO}."
        return _error(HTTP_409_CONFLICT, "CONFLICT", message)
    if response.status_code != 200:
        message = f"The webhook receiver answered {response.status_code}: try again in a moment."
        return _error(HTTP_502_BAD_GATEWAY, "UNAVAILABLE", message)
    sent = {"orderId": str(order["id"]), "eventId": source_event_id(order, demo["siteId"])}
    return JSONResponse(sent, HTTP_202_ACCEPTED, headers=_NO_STORE)


def _refuse_others(request: Request) -> Response | None:
    """An answer to a request that does not come from this machine, or from a page of ours."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    if urlsplit(f"//{host}").hostname not in _HERE or not _is_loopback(request):
        message = "This address answers this machine alone: open it as http://localhost."
    elif origin is not None and urlsplit(origin).netloc != host:
        message = f"A page of {origin} may not use the demo."
    else:
        return None
    return _error(HTTP_403_FORBIDDEN, "FORBIDDEN", message)


def _is_loopback(request: Request) -> bool:
    # Envoy sets this header on every request and drops it from what clients send. Its
    # X-Forwarded-For does not do: for a client on loopback it names the machine's own address.
    address = request.headers.get(_CLIENT_ADDRESS) or (request.client and request.client.host)
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=_NO_STORE)


app = create_app(default_state())
