"""`make demo`: the stack, a merchant, a morning of orders, and how long each took on its way.

With ONCE=1 everything is stopped at the end, and the exit code says whether every step did what it
should: 0, or 1 with the step that did not, or 2 with what stood in the way.
"""

import asyncio
import os
import sys
from typing import Any

import httpx
from playwright.async_api import Error as BrowserError
from rich.console import Console
from websockets.exceptions import WebSocketException

from deploy.local.demo import timeline
from deploy.local.demo.merchant import ApiError, Merchant, Shop
from deploy.local.demo.orders import StepFailed, description, follow_orders, merchant_and_shop
from deploy.local.demo.timeline import Passage
from deploy.local.demo.visitor import visit
from deploy.local.problems import Problem
from deploy.local.stack.stack import Stack
from deploy.local.stack.state import DEMO_FILE, State

ORDERS = 24
_READY_SECONDS = 20
_REQUEST_SECONDS = 20

_FAILURES = (
    StepFailed,
    ApiError,
    BrowserError,
    httpx.HTTPError,
    WebSocketException,
    RuntimeError,
    OSError,
)
"""What a part of the stack that does not do its work looks like from here."""

console = Console(highlight=False)


def main() -> int:
    once = os.environ.get("ONCE") == "1"
    try:
        stack = Stack(progress=lambda text: console.print(f"  {text}"))
        console.print(f"Starting the stack on {stack.state}")
        with stack:
            asyncio.run(_demo(stack))
            if once:
                return 0
            if not stack.is_ours:
                console.print("\nThe stack ran before and runs on; `make down` stops it.")
                return 0
            console.print("\nCtrl-C stops everything.")
            stack.wait()
    except Problem as problem:
        console.print(str(problem), style="red", markup=False)
        return problem.exit_code
    except _FAILURES as error:
        console.print(
            f"The demo failed: {error or type(error).__name__}", style="red", markup=False
        )
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped.")
    return 0


async def _demo(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url, timeout=_REQUEST_SECONDS) as client:
        state = State(stack.state)
        merchant, password, shop = await merchant_and_shop(client, state.read(DEMO_FILE))
        demo = description(merchant, password, shop)
        running = {"url": stack.url, "stores": stack.stores, "processes": stack.pids}
        state.write(DEMO_FILE, {**running, **demo})
        console.print(f"  merchant {demo['email']}, its shop connected, {ORDERS} orders follow")
        await _follow(stack, merchant, shop)
    _print_addresses(stack, demo)


async def _follow(stack: Stack, merchant: Merchant, shop: Shop) -> None:
    passages: list[Passage] = []
    console.print(f"\n{timeline.heading()}", style="bold", soft_wrap=True)
    async with visit(_shop_page(stack, shop)) as visitor:
        await visitor.happened("ready", seconds=_READY_SECONDS)
        async for passage in follow_orders(merchant, shop, visitor, count=ORDERS):
            passages.append(passage)
            console.print(timeline.line(passage), soft_wrap=True, markup=False)
    for line in timeline.summary(passages):
        console.print(line, style="bold", soft_wrap=True)
    console.print(timeline.EXPLANATION, soft_wrap=True)


def _print_addresses(stack: Stack, demo: dict[str, Any]) -> None:
    rows = {
        "demo shop": f"{stack.url}/demo/shop.html?key={demo['siteKey']}",
        "dashboard": f"{stack.url}/demo/dashboard.html",
        "GraphiQL": f"{stack.url}/graphiql",
        "log-in": f"{demo['email']}  {demo['password']}",
        "for scripts": str(stack.state / DEMO_FILE),
    }
    console.print()
    for name, value in rows.items():
        console.print(f"  {name:12} {value}", soft_wrap=True, markup=False)


def _shop_page(stack: Stack, shop: Shop) -> str:
    return f"{stack.url}/demo/shop.html?key={shop.site_key}"


if __name__ == "__main__":
    sys.exit(main())
