"""A shop's page in the browser, and what to look at on it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page

from tests.fixtures.deadline import eventually
from tests.snippet.stand import Stand

_RECORDER = """
window.heard = [];
for (const name of ["ready", "received", "shown", "clicked", "dismissed"])
  document.addEventListener("proofgraph:" + name, () => heard.push(name));
window.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => (shift += entry.value)))
  .observe({ type: "layout-shift", buffered: true });
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));
"""


class Shop:
    """One open page."""

    def __init__(self, page: Page, stand: Stand) -> None:
        self.page = page
        self.stand = stand
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

    async def heard(self, name: str, times: int = 1) -> None:
        """Wait for a DOM event of the snippet."""
        await self.page.wait_for_function(
            "([name, times]) => heard.filter((one) => one === name).length >= times",
            arg=[name, times],
        )

    async def sent(self, **counts: int) -> None:
        """Wait until exactly these events have reached the server."""

        async def now() -> dict[str, int]:
            return self.stand.counts()

        await eventually(now, lambda seen: seen == counts, seconds=8)

    async def subscribed(self, times: int = 1) -> None:
        """Wait for so many subscriptions."""

        async def now() -> int:
            return len(self.stand.subscribed)

        await eventually(now, lambda seen: seen == times, seconds=8)

    async def evaluate(self, script: str) -> Any:
        return await self.page.evaluate(script)


async def open_shop(
    context: BrowserContext, stand: Stand, *, at: str = "/", clock: datetime | None = None
) -> Shop:
    """Open the page and wait until it listens."""
    page = await context.new_page()
    if clock:
        await page.clock.install(time=clock)
    await page.add_init_script(_RECORDER)
    shop = Shop(page, stand)
    await page.goto(stand.origin + at)
    await shop.subscribed()
    return shop


def ago(**how_long: float) -> str:
    """The moment so long ago, as the graph writes it."""
    return (datetime.now(UTC) - timedelta(**how_long)).isoformat()
