"""Order, readiness, restarts and endings, with small processes in place of the real ones."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from deploy.local.problems import Problem
from deploy.local.stack.process import Process
from deploy.local.stack.state import ROOT, STACK_FILE, State
from tests.deploy.conftest import running_on
from tests.deploy.stack.small_processes import DEAF, FOREVER, WITH_CHILD, python, supervisor
from tests.fixtures.deadline import eventually


@asynccontextmanager
async def running(state: State, *processes: Process) -> AsyncIterator[list[str]]:
    """These processes, all ready."""
    reports: list[str] = []
    stop = asyncio.Event()
    run = asyncio.create_task(supervisor(state, *processes, reports=reports).run(stop))
    try:
        while "ready" not in reports:
            if run.done():
                run.result()
            await asyncio.sleep(0.01)
        yield reports
    finally:
        stop.set()
        await run


def pids(state: State) -> dict[str, int]:
    found: dict[str, int] = state.read(STACK_FILE)["processes"]
    return found


def appends(path: Path, word: str) -> str:
    return f"open({str(path)!r}, 'a').write({word!r} + chr(10))\n"


async def test_a_process_starts_when_what_it_needs_is_ready(state: State, tmp_path: Path) -> None:
    order = tmp_path / "order"
    slow = "import time\ntime.sleep(0.3)\n" + appends(order, "store ready") + FOREVER
    user = appends(order, "user started") + FOREVER
    step = appends(order, "step started") + "time.sleep(0.2)\n" + appends(order, "step done")

    async with running(
        state,
        python("user", user, needs=("step",)),
        python("step", f"import time\n{step}", needs=("store",), once=True),
        python("store", slow),
    ) as reports:
        names = [report.split()[0] for report in reports]

    assert order.read_text().split("\n")[:-1] == [
        "store ready",
        "step started",
        "step done",
        "user started",
    ]
    assert names == ["store", "step", "user", "ready"]


async def test_what_needs_nothing_of_each_other_starts_together(
    state: State, tmp_path: Path
) -> None:
    # Each waits for the other's file before it is ready: one after the other would never end.
    def waits(own: str, other: str) -> str:
        return (
            f"import os, time\nopen({str(tmp_path / own)!r}, 'w')\n"
            f"while not os.path.exists({str(tmp_path / other)!r}): time.sleep(0.01)\n{FOREVER}"
        )

    async with running(state, python("a", waits("a", "b")), python("b", waits("b", "a"))):
        assert sorted(pids(state)) == ["a", "b"]


async def test_a_killed_process_is_back_under_another_pid(state: State) -> None:
    async with running(state, python("victim", WITH_CHILD), python("other", FOREVER)):
        before = pids(state)
        (child,) = psutil.Process(before["victim"]).children()

        os.kill(before["victim"], signal.SIGKILL)

        async def after() -> dict[str, int]:
            return pids(state)

        now = await eventually(after, lambda found: found.get("victim", 0) != before["victim"])
        assert now.get("other") == before["other"]
        assert not await _alive(child)

        async def readiness() -> object:
            return state.read(STACK_FILE)["readiness"]

        await eventually(readiness, lambda found: found == {"victim": True, "other": True})


async def test_one_that_keeps_dying_is_started_at_growing_intervals(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    short = "print('ready', flush=True)\nimport time\ntime.sleep(0.15)\nraise SystemExit(7)"

    async with running(state, python("weak", short)):

        async def pauses() -> list[str]:
            return re.findall(r"weak ended \(exit 7\) after 0 s; again in (\S+) s", caplog.text)

        seen = await eventually(pauses, lambda found: len(found) >= 4)

    assert seen[:4] == ["0.1", "0.2", "0.4", "0.8"]


async def test_one_that_is_never_ready_says_what_it_wrote_last(state: State) -> None:
    code = "for n in range(30): print('line', n, flush=True)\nimport time\ntime.sleep(600)"

    with pytest.raises(Problem) as caught:
        async with running(
            state, python("mute", code, ready_seconds=0.7), python("other", FOREVER)
        ):
            pass

    log = state.logs / "mute.log"
    lines = "\n".join(f"    line {number}" for number in range(10, 30))
    assert str(caught.value) == f"mute was not ready after 1 s; {log}:\n{lines}"
    assert caught.value.exit_code == 1
    assert running_on(state) == []
    assert state.read(STACK_FILE) is None


@pytest.mark.parametrize("once", [True, False])
async def test_one_that_fails_at_the_start_stops_all(state: State, once: bool) -> None:
    code = "import sys\nprint('no table')\nsys.exit(3)"

    with pytest.raises(Problem) as caught:
        async with running(
            state,
            python("other", FOREVER),
            python("bad", code, once=once),
            python("later", FOREVER, needs=("bad",)),
        ):
            pass

    assert str(caught.value) == f"bad ended (exit 3); {state.logs / 'bad.log'}:\n    no table"
    assert running_on(state) == []
    assert not (state.logs / "later.log").exists()


async def test_stopping_goes_the_other_way_and_leaves_nothing(state: State, tmp_path: Path) -> None:
    order = tmp_path / "order"

    def tells(name: str) -> str:
        told = f"{appends(order, name).strip()}; raise SystemExit"
        return f"import signal\ndef end(*_): {told}\nsignal.signal(signal.SIGTERM, end)\n{FOREVER}"

    async with running(
        state,
        python("store", tells("store")),
        python("user", tells("user"), needs=("store",)),
        python("door", tells("door"), needs=("user", "store")),
        python("parent", WITH_CHILD),
        python("deaf", DEAF, grace_seconds=0.3),
    ):
        assert len(running_on(state)) == 6

    assert order.read_text().split() == ["door", "user", "store"]
    assert running_on(state) == []
    assert state.read(STACK_FILE) is None


@pytest.fixture
async def killable(state: State) -> AsyncIterator[asyncio.subprocess.Process]:
    """A supervisor in a process of its own, over a process that has a child."""
    command = [sys.executable, "-m", "tests.deploy.stack.small_processes", str(state.folder)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=subprocess.DEVNULL)
    yield process
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


@pytest.mark.parametrize("killed", ["supervisor", "supervisor and sentinel"])
async def test_a_killed_supervisor_leaves_nothing(
    state: State, killable: asyncio.subprocess.Process, killed: str
) -> None:
    async def found() -> list[int]:
        return running_on(state)

    await eventually(found, lambda pids: len(pids) == 2)
    children = psutil.Process(killable.pid).children()
    (guard,) = [child for child in children if "sentinel" in str(child.cmdline())]
    both = killed == "supervisor and sentinel"

    if both:
        guard.suspend()  # so that nobody can start another
    killable.kill()
    await killable.wait()
    if both:
        guard.kill()
        # Without a sentinel the system ends our children, and theirs wait for the next start.
        await eventually(found, lambda pids: len(pids) <= 1, seconds=5)
        async with running(state, python("next", FOREVER)):
            assert running_on(state) == [pids(state)["next"]]
    else:
        await eventually(found, lambda pids: pids == [], seconds=5)
    await eventually(lambda: _alive(guard), lambda alive: not alive, seconds=5)


async def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def test_a_killed_sentinel_is_replaced(state: State) -> None:
    async with running(state, python("one", FOREVER)):

        async def sentinels() -> list[int]:
            children = psutil.Process().children()
            return [c.pid for c in children if c.cmdline()[-1:] == [str(state.folder)]]

        (first,) = await eventually(sentinels, lambda found: len(found) == 1)
        os.kill(first, signal.SIGKILL)
        await eventually(sentinels, lambda found: len(found) == 1 and found != [first])
