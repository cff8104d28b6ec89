"""A shop's page in the browser, with the snippet on it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page

from tests.fixtures.deadline import eventually
from tests.snippet.server import Server

RECORDER = """
window.domEvents = [];
const names = ["ready", "disconnected", "refused", "received", "shown", "clicked", "dismissed"];
for (const name of names)
  document.addEventListener("proofgraph:" + name, () => domEvents.push(name));
window.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => (shift += entry.value)))
  .observe({ type: "layout-shift", buffered: true });
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));
"""
"""Records the snippet's DOM events, the layout shift and violations of the page's policy."""


class ShopPage:
    """An open page: its toast, the snippet's DOM events, the browser's console."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.console: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))

    def _note(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")

    @property
    def card(self) -> Locator:
        return self.page.locator("proofgraph-toast .card")

    @property
    def close(self) -> Locator:
        return self.page.get_by_role("button", name="Close", exact=True)

    async def wait_for_dom_event(self, name: str, times: int = 1) -> None:
        """Wait until the snippet has dispatched `proofgraph:<name>` so many times."""
        await self.page.wait_for_function(
            "([name, times]) => domEvents.filter((one) => one === name).length >= times",
            arg=[name, times],
        )

    async def wait_until_sent(self, **counts: int) -> None:
        """Wait until exactly these events have reached the server."""

        async def now() -> dict[str, int]:
            return self.server.counts()

        await eventually(now, lambda seen: seen == counts, seconds=8)

    async def wait_until_subscribed(self, times: int = 1) -> None:
        """Wait until the server has received so many subscriptions."""

        async def now() -> int:
            return len(self.server.subscribed)

        await eventually(now, lambda seen: seen == times, seconds=8)

    async def evaluate(self, script: str) -> Any:
        return await self.page.evaluate(script)


async def open_shop(
    context: BrowserContext, server: Server, *, at: str = "/", clock: datetime | None = None
) -> ShopPage:
    """Open the page and wait until it has subscribed.

    Args:
        clock: the browser's time; it then stands still until the test advances it.
    """
    page = await context.new_page()
    if clock:
        await page.clock.install(time=clock)
    await page.add_init_script(RECORDER)
    shop = ShopPage(page, server)
    await page.goto(server.origin + at)
    await shop.wait_until_subscribed()
    return shop


def ago(**how_long: float) -> str:
    """Return the time so long ago, in ISO 8601; takes the arguments of `timedelta`."""
    return (datetime.now(UTC) - timedelta(**how_long)).isoformat()
