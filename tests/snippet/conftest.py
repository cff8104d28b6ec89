from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.fixtures.browser import browser as browser
from tests.fixtures.browser import built_snippet as built_snippet
from tests.snippet.graphql_api import GraphQLApi
from tests.snippet.server import Server, serving

TIMEOUT_MS = 15_000
"""GraphiQL takes some seconds to start on a busy machine."""

expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(Server()) as running:
        yield running


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    opened = await browser.new_context(viewport={"width": 1000, "height": 700})
    opened.set_default_timeout(TIMEOUT_MS)
    yield opened
    await opened.close()


@pytest.fixture
def api(server: Server) -> GraphQLApi:
    """The queries and mutations of the server."""
    api = GraphQLApi()
    server.answer_graphql = api
    return api


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    """An empty page that records violations of the content security policy."""
    page = await context.new_page()
    await page.add_init_script("""
        window.violations = [];
        document.addEventListener("securitypolicyviolation",
          (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    """)
    return page


@pytest.fixture
def problems(page: Page) -> list[str]:
    """Errors and failed requests of the page, except those of `/demo/status`."""
    seen: list[str] = []

    def note(url: str, problem: str) -> None:
        # GraphiQL asks whether there is a demo shop; the browser logs the 404 as an error.
        if not url.endswith("/demo/status"):
            seen.append(problem)

    def note_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            note(message.location["url"], message.text)

    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("console", note_console)
    page.on("requestfailed", lambda request: note(request.url, request.url))
    return seen
