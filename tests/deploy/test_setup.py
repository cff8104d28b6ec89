"""`make setup` in a fresh clone: what it checks first, and what an interrupt leaves behind."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.stack.state import ROOT
from tests.fixtures.deadline import eventually

COMMAND = [sys.executable, "-m", "deploy.local.setup"]

SLOW_NPM = """#!/bin/sh
sleep 600 &
echo $$ $! > npm-pids
wait
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing has been set up."""
    checkout = tmp_path / "chéckout with space"
    checkout.mkdir()
    shutil.copy(ROOT / "requirements.lock", checkout)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "deploy", checkout / "deploy", ignore=ignored)
    for folder in ("router", "snippet"):
        (checkout / folder).mkdir()
    return checkout


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH with a Node.js that prints its version and an npm that never ends."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, code in (("node", "#!/bin/sh\necho v22.1.0\n"), ("npm", SLOW_NPM)):
        (folder / name).write_text(code)
        (folder / name).chmod(0o755)
    return folder


def environment(checkout: Path, path: str) -> dict[str, str]:
    return {"PATH": path, "HOME": str(checkout)}


def setup(checkout: Path, path: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        COMMAND, cwd=checkout, env=environment(checkout, path), capture_output=True, text=True
    )


def with_system(programs: Path) -> str:
    return os.pathsep.join([str(programs), "/usr/bin", "/bin"])


def test_a_machine_without_node(checkout: Path) -> None:
    done = setup(checkout, "/nowhere")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "node is not on PATH: install Node.js 20 or newer.\n"
    assert not (checkout / ".venv").exists()


def test_a_machine_with_an_old_node(checkout: Path, programs: Path) -> None:
    (programs / "node").write_text("#!/bin/sh\necho v18.20.4\n")

    done = setup(checkout, with_system(programs))

    assert done.returncode == 2
    assert done.stderr == "node is 18.20.4: install Node.js 20 or newer.\n"


def test_a_checkout_that_cannot_be_written_is_reported_first(
    checkout: Path, programs: Path
) -> None:
    (checkout / "snippet").rmdir()
    (checkout / "snippet").touch()  # unlike a mode, this stops root too

    done = setup(checkout, with_system(programs))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"{checkout}/snippet cannot be written (Not a directory): change its owner or mode,"
        " or clone the repository into a folder of your own.\n"
    )
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_ends_all_commands_at_once(
    checkout: Path, programs: Path, number: signal.Signals
) -> None:
    running = await asyncio.create_subprocess_exec(
        *COMMAND,
        cwd=checkout,
        env=environment(checkout, with_system(programs)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )

    async def npm_pids() -> list[int]:
        files = [checkout / name / "npm-pids" for name in ("router", "snippet")]
        return [int(pid) for f in files if f.exists() for pid in f.read_text().split()]

    pids = await eventually(npm_pids, lambda found: len(found) == 4, seconds=30)
    running.send_signal(number)
    async with asyncio.timeout(10):
        _, errors = await running.communicate()

    assert running.returncode == 130
    assert errors.decode() == "Set-up was interrupted; `make setup` continues it.\n"
    left = [process for process in psutil.process_iter() if process.pid in pids]
    assert [p.pid for p in left if p.status() != psutil.STATUS_ZOMBIE] == []
    assert not (checkout / "router" / "node_modules" / "made-from").exists()
