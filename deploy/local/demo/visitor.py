"""The demo visitor: a page of the demo shop in a real Chromium, and when it showed each claim."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, async_playwright

from deploy.local.stack.state import ROOT

AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
    "Safari/537.36"
)
"""The user agent of an ordinary browser: the ingest endpoint counts a headless one as a bot."""

# --no-sandbox: Chromium's own sandbox needs privileges that root in a container does not have.
# --no-proxy-server: a proxy named in the environment cannot reach this machine's loopback.
_FLAGS = [
    "--no-sandbox",
    "--no-proxy-server",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--user-agent={AGENT}",
]

_REPORT = """
for (const what of ["ready", "received", "shown", "clicked", "dismissed"])
  document.addEventListener("proofgraph:" + what,
    (event) => report(what, event.detail?.id ?? null, Date.now()));
"""


class DemoVisitor:
    """One page with the snippet, and the events that the snippet dispatched on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._times: dict[tuple[str, str | None], asyncio.Future[float]] = {}

    async def wait_for(self, what: str, claim_id: str | None = None, *, seconds: float) -> float:
        """When the snippet dispatched `ready`, `shown`, `clicked` or `dismissed`; since 1970.

        Raises:
            TimeoutError: it did not in time.
        """
        return await asyncio.wait_for(asyncio.shield(self._time(what, claim_id)), seconds)

    async def close_toast(self) -> None:
        await self.page.locator("proofgraph-toast button").click()

    def report(self, what: str, claim_id: str | None, milliseconds: float) -> None:
        time = self._time(what, claim_id)
        if not time.done():
            time.set_result(milliseconds / 1000)

    def _time(self, what: str, claim_id: str | None) -> "asyncio.Future[float]":
        return self._times.setdefault((what, claim_id), asyncio.get_running_loop().create_future())


@asynccontextmanager
async def visit(url: str) -> AsyncIterator[DemoVisitor]:
    """Open a page that carries the snippet."""
    async with launch_browser() as browser:
        page = await browser.new_page()
        visitor = DemoVisitor(page)
        await page.expose_function("report", visitor.report)
        await page.add_init_script(_REPORT)
        await page.goto(url)
        yield visitor


@asynccontextmanager
async def launch_browser() -> AsyncIterator[Browser]:
    """The Chromium of the snippet's development packages."""
    executable = await _chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


async def _chromium() -> str:
    script = ROOT / "snippet" / "test" / "chromium.mjs"
    process = await asyncio.create_subprocess_exec(
        "node", str(script), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{script.name} found no Chromium: run `make setup`.")
    return output.decode().strip()
