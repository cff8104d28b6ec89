"""The supervisor: order, readiness, restarts and the end, with small processes."""

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
from tests.deploy.stack.small_processes import (
    FOREVER,
    IGNORES_SIGTERM,
    WITH_CHILD,
    python,
    supervisor,
)
from tests.fixtures.deadline import eventually


@asynccontextmanager
async def running(state: State, *processes: Process) -> AsyncIterator[list[str]]:
    """Run these processes; yields the reports once all are ready."""
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


async def test_independent_processes_start_in_parallel(state: State, tmp_path: Path) -> None:
    # Each waits for the other's file before it is ready: in sequence they would wait for ever.
    def waits(own: str, other: str) -> str:
        return (
            f"import os, time\nopen({str(tmp_path / own)!r}, 'w')\n"
            f"while not os.path.exists({str(tmp_path / other)!r}): time.sleep(0.01)\n{FOREVER}"
        )

    async with running(state, python("a", waits("a", "b")), python("b", waits("b", "a"))):
        assert sorted(pids(state)) == ["a", "b"]


async def test_a_killed_process_restarts_and_its_children_end(state: State) -> None:
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


async def test_the_pause_before_a_restart_doubles(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    short = "print('ready', flush=True)\nimport time\ntime.sleep(0.15)\nraise SystemExit(7)"

    async with running(state, python("weak", short)):

        async def pauses() -> list[str]:
            return re.findall(r"name=weak reason='exit 7' lived=0s restart_in=(\S+)s", caplog.text)

        seen = await eventually(pauses, lambda found: len(found) >= 4)

    assert seen[:4] == ["0.1", "0.2", "0.4", "0.8"]


async def test_a_process_that_is_not_ready_in_time_fails_with_its_last_lines(state: State) -> None:
    code = "for n in range(30): print('line', n, flush=True)\nimport time\ntime.sleep(600)"

    with pytest.raises(Problem) as caught:
        async with running(
            state, python("mute", code, ready_seconds=0.7), python("other", FOREVER)
        ):
            pass

    log = state.logs / "mute.log"
    lines = "\n".join(f"    line {number}" for number in range(10, 30))
    assert str(caught.value) == (
        f"mute was not ready after 1 s (its log has no “ready”); {log}:\n{lines}"
    )
    assert caught.value.exit_code == 1
    assert running_on(state) == []
    assert state.read(STACK_FILE) is None


@pytest.mark.parametrize("once", [True, False])
async def test_a_process_that_fails_at_the_start_stops_all(state: State, once: bool) -> None:
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


async def test_processes_stop_in_reverse_order_and_none_is_left(
    state: State, tmp_path: Path
) -> None:
    order = tmp_path / "order"

    def writes(name: str) -> str:
        ending = f"{appends(order, name).strip()}; raise SystemExit"
        return (
            f"import signal\ndef end(*_): {ending}\nsignal.signal(signal.SIGTERM, end)\n{FOREVER}"
        )

    async with running(
        state,
        python("store", writes("store")),
        python("user", writes("user"), needs=("store",)),
        python("web", writes("web"), needs=("user", "store")),
        python("parent", WITH_CHILD),
        python("deaf", IGNORES_SIGTERM, grace_seconds=0.3),
    ):
        assert len(running_on(state)) == 6

    assert order.read_text().split() == ["web", "user", "store"]
    assert running_on(state) == []
    assert state.read(STACK_FILE) is None


@pytest.fixture
async def killable(state: State) -> AsyncIterator[asyncio.subprocess.Process]:
    """A supervisor in its own process, which runs a process that has a child."""
    command = [sys.executable, "-m", "tests.deploy.stack.small_processes", str(state.folder)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=subprocess.DEVNULL)
    yield process
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


@pytest.mark.parametrize("killed", ["supervisor", "supervisor and reaper"])
async def test_no_process_outlives_a_killed_supervisor(
    state: State, killable: asyncio.subprocess.Process, killed: str
) -> None:
    async def found() -> list[int]:
        return running_on(state)

    await eventually(found, lambda pids: len(pids) == 2)
    children = psutil.Process(killable.pid).children()
    (reaper,) = [child for child in children if "orphan_reaper" in str(child.cmdline())]
    both = killed == "supervisor and reaper"

    if both:
        reaper.suspend()  # alive, so the supervisor starts no other
    killable.kill()
    await killable.wait()
    if both:
        reaper.kill()
        # The kernel ends the children; the next supervisor ends their children.
        await eventually(found, lambda pids: len(pids) <= 1, seconds=5)
        async with running(state, python("next", FOREVER)):
            assert running_on(state) == [pids(state)["next"]]
    else:
        await eventually(found, lambda pids: pids == [], seconds=5)
    await eventually(lambda: _alive(reaper), lambda alive: not alive, seconds=5)


async def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def test_a_killed_orphan_reaper_is_replaced(state: State) -> None:
    async with running(state, python("one", FOREVER)):

        async def reapers() -> list[int]:
            children = psutil.Process().children()
            return [c.pid for c in children if c.cmdline()[-1:] == [str(state.folder)]]

        (first,) = await eventually(reapers, lambda found: len(found) == 1)
        os.kill(first, signal.SIGKILL)
        await eventually(reapers, lambda found: len(found) == 1 and found != [first])
