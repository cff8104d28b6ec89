from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext

from tests.fixtures.browser import browser as browser
from tests.fixtures.browser import built_snippet as built_snippet
from tests.snippet.stand import Stand, serving


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with serving(Stand()) as running:
        yield running


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    opened = await browser.new_context(viewport={"width": 1000, "height": 700})
    # Whatever a test looks for and doesn't find is told soon.
    opened.set_default_timeout(8_000)
    yield opened
    await opened.close()
