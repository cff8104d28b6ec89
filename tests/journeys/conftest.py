"""Two whole stacks: Apollo Router over one process, and the embedded gateway over six."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest

from deploy.local.demo.merchant import ANALYTICS, DemoMerchant, Shop
from deploy.local.demo.subscriber import subscribe
from deploy.local.stack.stack import Stack
from deploy.local.tools import find_router
from tests.fixtures.environment import as_given
from tests.fixtures.ports import free_port

PASSWORD = "correct horse"
SCREENSHOTS = Path(__file__).parents[2] / ".proofgraph"
"""Where a person looks for them; the stacks of the tests live elsewhere."""

CLAIMS = """
query Claims($id: ID!, $after: String) {
  notification(id: $id) {
    claims(first: 100, after: $after) {
      edges { node { id cursor text } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""
ACTIVITY = """
subscription Activity($site: ID!) { siteActivity(siteId: $site) { cursor events { type text } } }"""


class Running(NamedTuple):
    """A stack that runs, as its journeys see it."""

    name: str
    stack: Stack

    @property
    def url(self) -> str:
        return self.stack.url

    async def pid_of(self, process: str) -> int:
        return self.stack.pids[process]

    def kill(self, process: str) -> None:
        os.kill(self.stack.pids[process], signal.SIGKILL)


@pytest.fixture(scope="session", params=["router", "embedded"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A stack of its own; the router's may be missing on a newcomer's machine, never in CI."""
    name = request.param
    if name == "router" and find_router() is None:
        assert not os.environ.get("CI"), "CI needs Apollo Router: name its binary in APOLLO_ROUTER"
        pytest.skip("no Apollo Router here; `make router` builds it")
    stack = Stack(
        state=tmp_path_factory.mktemp(name),
        port=free_port(),
        gateway=name,
        split=name == "embedded",
    )
    with ExitStack() as started:
        with as_given():
            started.enter_context(stack)
        yield Running(name, stack)


@pytest.fixture
async def public(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the one public port."""
    async with httpx.AsyncClient(base_url=running.url, timeout=20) as client:
        yield client


async def new_merchant(client: httpx.AsyncClient) -> DemoMerchant:
    merchant = DemoMerchant(client)
    await merchant.sign_up(
        f"{uuid4().hex}@example.com", PASSWORD, full_name="Anna Berg", account="Shops"
    )
    return merchant


async def new_shop(merchant: DemoMerchant) -> Shop:
    return await merchant.create_shop(name="Shoes", domain=f"{uuid4().hex}.localhost")


@pytest.fixture
async def merchant(public: httpx.AsyncClient) -> DemoMerchant:
    return await new_merchant(public)


@pytest.fixture
async def shop(merchant: DemoMerchant) -> Shop:
    return await new_shop(merchant)


async def claims_of(merchant: DemoMerchant, shop: Shop) -> list[dict[str, Any]]:
    """All claims of the shop's notification, by the graph; newest first."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        variables = {"id": shop.notification_id, "after": after}
        page = (await merchant.execute(CLAIMS, variables))["notification"]["claims"]
        found += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def counted(merchant: DemoMerchant, shop: Shop) -> dict[str, int]:
    """What analytics says of the last day, as a test may run across midnight."""
    now = datetime.now(UTC)
    span = {"id": shop.site_id, "start": (now - timedelta(days=1)).isoformat()}
    answer = await merchant.execute(ANALYTICS, {**span, "end": now.isoformat()})
    totals: dict[str, int] = answer["site"]["analytics"]["totals"]
    return totals


async def first_activity(running: Running, merchant: DemoMerchant, site_id: str) -> Any:
    """The next thing that happens at a site, as a dashboard sees it."""
    credentials = {"authorization": f"Bearer {merchant.token}"}
    async with subscribe(running.url, credentials, ACTIVITY, {"site": site_id}) as answers:
        return (await anext(answers))["siteActivity"]
