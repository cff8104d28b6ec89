"""Two whole stacks: Apollo Router with the subgraphs in one process, the embedded gateway with six.

A test that takes `running` runs on both, once for each. Marked `one_gateway` it runs on one of
them, as what it tests lies in neither gateway. With pytest-xdist (`--dist loadgroup`) all tests of
a stack run in the same worker, so that each stack is started once.
"""

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
from deploy.local.stack.options import Gateway
from deploy.local.stack.stack import Stack
from deploy.local.tools import find_router
from tests.fixtures.environment import as_given
from tests.fixtures.ports import free_port
from tests.journeys.recording import recording_commands

PASSWORD = "correct horse"
SCREENSHOTS = Path(__file__).parents[2] / ".proofgraph"
"""Where the tests leave screenshots for a person to look at."""

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


GATEWAYS: list[Gateway] = ["router", "embedded"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "one_gateway: runs on one of the two stacks")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the second run of tests marked `one_gateway`."""
    second = "embedded" if find_router() is not None else "router"
    left_out = [
        item
        for item in items
        if item.get_closest_marker("one_gateway")
        and isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
        and item.callspec.params.get("running") == second
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


class Running(NamedTuple):
    """A running stack.

    Attributes:
        records: the file in which its processes record the stops of orders; see `recording`.
    """

    name: str
    stack: Stack
    records: Path

    @property
    def url(self) -> str:
        return self.stack.url

    async def pid_of(self, process: str) -> int:
        return self.stack.pids[process]

    def kill(self, process: str) -> None:
        os.kill(self.stack.pids[process], signal.SIGKILL)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(name, marks=pytest.mark.xdist_group(f"stack-{name}")) for name in GATEWAYS
    ],
)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A stack for the whole run. CI needs Apollo Router; other machines may lack it."""
    name: Gateway = request.param
    if name == "router" and find_router() is None:
        assert not os.environ.get("CI"), "CI needs Apollo Router: name its binary in APOLLO_ROUTER"
        pytest.skip("no Apollo Router: `make router` builds it")
    state = tmp_path_factory.mktemp(name)
    records = state / "order-stops.jsonl"
    stack = Stack(
        state=state,
        port=free_port(),
        gateway=name,
        split=name == "embedded",
        commands=recording_commands(records),
    )
    with ExitStack() as started:
        with as_given():
            started.enter_context(stack)
        yield Running(name, stack, records)


@pytest.fixture
async def public(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the public port."""
    async with httpx.AsyncClient(base_url=running.url, timeout=20, trust_env=False) as client:
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
    """All claims of the shop's notification as the graph lists them, newest first."""
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
    """The analytics totals of the last 24 hours, so that a test may run across midnight."""
    now = datetime.now(UTC)
    span = {"id": shop.site_id, "start": (now - timedelta(days=1)).isoformat()}
    data = await merchant.execute(ANALYTICS, {**span, "end": now.isoformat()})
    totals: dict[str, int] = data["site"]["analytics"]["totals"]
    return totals


async def first_activity(running: Running, merchant: DemoMerchant, site_id: str) -> Any:
    """The next result of a dashboard's subscription to a site's activity."""
    credentials = {"authorization": f"Bearer {merchant.token}"}
    async with subscribe(running.url, credentials, ACTIVITY, {"site": site_id}) as results:
        return (await anext(results))["siteActivity"]
