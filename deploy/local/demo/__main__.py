"""`make demo`: starts the stack, sends demo orders, prints how long each took to every stop.

Then it stays until Ctrl-C. With ONCE=1 it stops the stack at the end.

Exit codes: 0; 1 where a step failed, with the step; 2 where something is missing, with what to do.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime

from deploy.local.demo import timeline
from deploy.local.demo.account import Demo, open_demo, public_client
from deploy.local.demo.console import console, run, say
from deploy.local.demo.shopify import demo_orders
from deploy.local.demo.timeline import OrderTimes
from deploy.local.demo.tracing import trace_orders
from deploy.local.demo.visitor import visit
from deploy.local.stack.stack import Stack
from deploy.local.stack.state import DEMO_FILE

ORDERS = 24
_SNIPPET_SECONDS = 20


def demo() -> None:
    """Run the demo."""
    stack = Stack(progress=say)
    started = time.monotonic()
    if stack.is_running:
        console.print(f"A stack runs on {stack.state}; the demo uses it.", soft_wrap=True)
    else:
        console.print(f"Starting the stack on {stack.state}", soft_wrap=True)
    with console.status("The stack is starting …"):
        stack.start()
    with stack:
        if stack.is_ours:
            console.print(f"The stack is ready after {time.monotonic() - started:.0f} s.")
        _print_rows({"start page": stack.url, "gateway": stack.gateway})
        asyncio.run(_send_orders(stack))
        if os.environ.get("ONCE") == "1":
            if stack.is_ours:
                console.print("\nThe stack stops now; `make up` starts it again.")
            return
        if not stack.is_ours:
            console.print("\nThe stack ran before the demo and runs on; `make down` stops it.")
            return
        console.print("\nCtrl-C stops everything.")
        stack.wait()


async def _send_orders(stack: Stack) -> None:
    async with public_client(stack) as client:
        console.print("\nLogging the demo merchant in …")
        demo = await open_demo(client, stack, say)
        console.print(f"Opening the demo shop in Chromium, then sending {ORDERS} orders …")
        await _trace(stack, demo)
    _print_rows(
        {
            "start page": stack.url,
            "demo shop": f"{stack.url}/demo/shop.html?key={demo.shop.site_key}",
            "dashboard": f"{stack.url}/demo/dashboard.html",
            "GraphiQL": f"{stack.url}/graphiql",
            "log-in": f"{demo.merchant.email}  {demo.password}",
            "one more": "`make order`, or the button on the start page",
            "for scripts": str(stack.state / DEMO_FILE),
        }
    )


async def _trace(stack: Stack, demo: Demo) -> None:
    times: list[OrderTimes] = []
    # A number that no earlier run has used, so that no order repeats an earlier one.
    orders = demo_orders(ORDERS, until=datetime.now(UTC), first_number=int(time.time()))
    async with visit(f"{stack.url}/demo/shop.html?key={demo.shop.site_key}") as visitor:
        await visitor.wait_for("ready", seconds=_SNIPPET_SECONDS)
        console.print(f"\n{timeline.heading()}", style="bold", soft_wrap=True)
        async for order in trace_orders(demo.merchant, demo.shop, visitor, orders):
            times.append(order)
            console.print(timeline.line(order), soft_wrap=True, markup=False)
    for line in timeline.summary(times):
        console.print(line, style="bold", soft_wrap=True)
    console.print(timeline.EXPLANATION, soft_wrap=True)


def _print_rows(rows: dict[str, str]) -> None:
    console.print()
    for name, value in rows.items():
        say(f"{name:12} {value}")


if __name__ == "__main__":
    sys.exit(run(demo, "The demo"))
