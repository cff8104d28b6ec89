"""The pages app of a deployment serves nothing of the local stack's demo."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from router.pages.app import create_app


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The app on files as the build writes them, the start page's among them."""
    for name in ("demo/shop.html", "start/start.html", "start/start.js"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("built")
    transport = httpx.ASGITransport(create_app(tmp_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/demo/status"),
        ("GET", "/demo/order"),
        ("POST", "/demo/order"),
        ("GET", "/demo/start/start.js"),
        ("GET", "/start/start.html"),
    ],
)
async def test_a_deployment_has_no_start_page(
    pages: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await pages.request(method, path)

    assert response.status_code == 404
    assert response.json() == {"error": {"code": "NOT_FOUND", "message": "Not Found"}}


async def test_a_page_takes_no_post(pages: httpx.AsyncClient) -> None:
    assert (await pages.get("/demo/shop.html")).text == "built"
    assert (await pages.post("/demo/shop.html")).status_code == 405
