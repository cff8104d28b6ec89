"""The demo's commands and its merchant: `make order`, and what a later run reuses."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.demo.account import Demo, open_demo
from deploy.local.demo.merchant import ApiError, DemoMerchant
from deploy.local.stack.state import DEMO_FILE, State
from tests.fixtures.deadline import eventually
from tests.journeys.conftest import Running

pytestmark = pytest.mark.one_gateway

ATTEMPTS = 10
"""Log-ins of one e-mail address in five minutes."""

LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d{3}( +-?\d+){4}  \w.* from .+ bought .+$", re.MULTILINE)


class Said(list[str]):
    """The sentences that the demo said."""

    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
async def demo(running: Running, public: httpx.AsyncClient) -> Demo:
    """A demo merchant of this test alone."""
    (running.stack.state / DEMO_FILE).unlink(missing_ok=True)
    return await open_demo(public, running.stack, Said())


async def make_order(state: Path) -> tuple[int, str]:
    """Run the command behind `make order`; returns its exit code and its output.

    The environment names a proxy that does not exist: loopback must not be reached through it.
    """
    proxy = "http://127.0.0.1:9"
    settings = {"PROOFGRAPH_STATE": str(state), "http_proxy": proxy, "ALL_PROXY": proxy}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local.demo.order"),
        env=os.environ | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_make_order_prints_when_its_order_reached_each_stop(
    running: Running, demo: Demo
) -> None:
    code, output = await make_order(running.stack.state)

    assert code == 0, output
    heading = next(line for line in output.splitlines() if line.startswith("accepted "))
    assert heading.split() == ["accepted", "published", "seen", "shown", "counted", "claim"]
    assert len(LINE.findall(output)) == 1


async def test_make_order_without_a_stack_says_what_to_run(tmp_path: Path) -> None:
    code, output = await make_order(tmp_path)

    assert (code, output) == (
        2,
        f"No stack runs on {tmp_path}: start one with `make demo`, or with `make up`"
        " where the demo ran before.\n",
    )


async def test_make_order_before_the_demo_says_what_to_run(running: Running) -> None:
    (running.stack.state / DEMO_FILE).unlink(missing_ok=True)

    code, output = await make_order(running.stack.state)

    assert (code, output) == (
        2,
        f"There is no demo merchant on {running.stack.state}: run `make demo` once.\n",
    )


async def test_a_later_run_goes_on_with_the_session_though_log_in_is_limited(
    running: Running, public: httpx.AsyncClient, demo: Demo
) -> None:
    await use_up_log_ins(demo)
    said = Said()

    again = await open_demo(public, running.stack, said)

    assert (again.merchant.token, again.shop) == (demo.merchant.token, demo.shop)
    assert said == []


async def test_without_a_session_a_limited_log_in_is_waited_for(
    running: Running, public: httpx.AsyncClient, demo: Demo
) -> None:
    await use_up_log_ins(demo)
    remembered = change_demo(running, token="ended")
    said = Said()

    opening = asyncio.create_task(open_demo(public, running.stack, said))
    await eventually(lambda: asyncio.sleep(0, said), lambda said: len(said) == 1)
    opening.cancel()

    assert re.fullmatch(r"Log-in is rate limited \(.+\)\. The demo goes on in \d+ s\.", said[0])
    assert State(running.stack.state).read(DEMO_FILE) == remembered


async def test_without_a_session_the_demo_merchant_logs_in_again(
    running: Running, public: httpx.AsyncClient, demo: Demo
) -> None:
    change_demo(running, token="ended")
    said = Said()

    again = await open_demo(public, running.stack, said)

    assert (again.merchant.email, again.shop) == (demo.merchant.email, demo.shop)
    assert State(running.stack.state).read(DEMO_FILE)["token"] == again.merchant.token != "ended"
    assert said == []


async def test_another_demo_merchant_is_created_only_with_a_word(
    running: Running, public: httpx.AsyncClient, demo: Demo
) -> None:
    change_demo(running, token="ended", email="nobody@proofgraph.example")
    said = Said()

    other = await open_demo(public, running.stack, said)

    assert other.merchant.email not in (demo.merchant.email, "nobody@proofgraph.example")
    assert said == [
        "The database does not know nobody@proofgraph.example, the demo merchant of"
        f" {running.stack.state / DEMO_FILE}: creating another one."
    ]


async def use_up_log_ins(demo: Demo) -> None:
    """Log in until it is refused."""
    merchant = DemoMerchant(demo.merchant.client)
    for _ in range(ATTEMPTS):
        await merchant.log_in(demo.merchant.email, demo.password)
        merchant.token = ""
    with pytest.raises(ApiError) as refused:
        await merchant.log_in(demo.merchant.email, demo.password)
    assert refused.value.codes == ["RATE_LIMITED"]


def change_demo(running: Running, **changes: Any) -> dict[str, Any]:
    """Change what demo.json remembers; returns all of it."""
    state = State(running.stack.state)
    remembered: dict[str, Any] = state.read(DEMO_FILE) | changes
    state.write(DEMO_FILE, remembered)
    return remembered
