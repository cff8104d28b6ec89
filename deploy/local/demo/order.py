"""`make order`: sends one more order of the demo shop and prints when it reached each stop.

It needs a running stack and the demo merchant of an earlier `make demo`.
"""

import asyncio
import sys

from deploy.local.demo import timeline
from deploy.local.demo.account import open_demo, public_client
from deploy.local.demo.console import console, run, say
from deploy.local.demo.shopify import order_now
from deploy.local.demo.tracing import trace_orders
from deploy.local.demo.visitor import visit
from deploy.local.problems import Problem
from deploy.local.stack.stack import Stack
from deploy.local.stack.state import DEMO_FILE, State

_SNIPPET_SECONDS = 20


def send_order() -> None:
    """Send one order and follow it.

    Raises:
        Problem: no stack runs, or the demo never ran on its state folder.
    """
    stack = Stack()
    if not stack.is_running:
        raise Problem(
            f"No stack runs on {stack.state}: start one with `make demo`, or with `make up`"
            " where the demo ran before."
        )
    if State(stack.state).read(DEMO_FILE) is None:
        raise Problem(f"There is no demo merchant on {stack.state}: run `make demo` once.")
    asyncio.run(_send(stack))


async def _send(stack: Stack) -> None:
    async with public_client(stack) as client:
        demo = await open_demo(client, stack, say)
        console.print("Opening the demo shop in Chromium, then sending one order …")
        async with visit(f"{stack.url}/demo/shop.html?key={demo.shop.site_key}") as visitor:
            await visitor.wait_for("ready", seconds=_SNIPPET_SECONDS)
            orders = [order_now()]
            console.print(timeline.heading(), style="bold", soft_wrap=True)
            async for times in trace_orders(demo.merchant, demo.shop, visitor, orders):
                console.print(timeline.line(times), soft_wrap=True, markup=False)
    console.print(timeline.EXPLANATION, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run(send_order, "The order"))
