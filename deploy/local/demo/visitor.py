"""A visitor in a real Chromium on the demo shop, who tells when each claim was on the screen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

ROOT = Path(__file__).parents[3]

AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
    "Safari/537.36"
)
"""What a person's browser says. A headless one says so, and then counts as a machine."""

# --no-sandbox: Chromium's own sandbox needs rights that root in a container has not.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
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


class Visitor:
    """One page of the shop."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._seen: dict[tuple[str, str | None], asyncio.Future[float]] = {}

    async def happened(self, what: str, claim_id: str | None = None, *, seconds: float) -> float:
        """When (seconds since 1970) the snippet told of `ready`, `shown`, `clicked`, `dismissed`.

        Raises:
            TimeoutError: it did not in time.
        """
        return await asyncio.wait_for(asyncio.shield(self._slot(what, claim_id)), seconds)

    async def close_toast(self) -> None:
        await self.page.locator("proofgraph-toast button").click()

    def report(self, what: str, claim_id: str | None, milliseconds: float) -> None:
        slot = self._slot(what, claim_id)
        if not slot.done():
            slot.set_result(milliseconds / 1000)

    def _slot(self, what: str, claim_id: str | None) -> "asyncio.Future[float]":
        return self._seen.setdefault((what, claim_id), asyncio.get_running_loop().create_future())


@asynccontextmanager
async def visit(url: str) -> AsyncIterator[Visitor]:
    """Open a page that carries the snippet."""
    executable = await chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=_FLAGS)
        try:
            page = await browser.new_page()
            visitor = Visitor(page)
            await page.expose_function("report", visitor.report)
            await page.add_init_script(_REPORT)
            await page.goto(url)
            yield visitor
        finally:
            await browser.close()


async def chromium() -> str:
    """The path of the browser that the snippet's packages carry."""
    script = ROOT / "snippet" / "test" / "chromium.mjs"
    process = await asyncio.create_subprocess_exec(
        "node", str(script), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{script.name} found no Chromium; run `make setup`.")
    return output.decode().strip()
