"""`make router`, with a cargo that prints but compiles nothing: a real build takes 20 minutes."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.stack.state import ROOT
from tests.fixtures.deadline import eventually

COMMAND = [sys.executable, "-m", "deploy.local.engines.build_router"]

CARGO = """#!/bin/sh
mkdir -p "$CARGO_TARGET_DIR"
echo "   Compiling serde v1.0" >&2
echo "   Compiling tokio v1.0" >&2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("bin", "temporary", "cache"):
        (tmp_path / name).mkdir()
    return tmp_path


def environment(folder: Path, cargo: str) -> dict[str, str]:
    (folder / "bin" / "cargo").write_text(CARGO + cargo)
    (folder / "bin" / "cargo").chmod(0o755)
    return os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(folder / "temporary"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


def test_a_failed_build_shows_the_last_lines_and_leaves_no_files(folder: Path) -> None:
    done = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=environment(folder, "echo 'error: no linker' >&2\nexit 101\n"),
        capture_output=True,
        text=True,
    )

    log = folder / "cache" / "proofgraph" / "router" / "build.log"
    assert done.returncode == 1
    assert done.stderr == (
        f"cargo could not build the router; {log}:\n"
        "       Compiling serde v1.0\n       Compiling tokio v1.0\n    error: no linker\n"
    )
    assert len(done.stdout.splitlines()) == 2
    assert list((folder / "temporary").iterdir()) == []


async def test_an_interrupted_build_leaves_no_files(folder: Path) -> None:
    running = await asyncio.create_subprocess_exec(
        *COMMAND,
        cwd=ROOT,
        env=environment(folder, "exec sleep 600\n"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )

    async def targets() -> list[Path]:
        return list((folder / "temporary").glob("*/target"))

    await eventually(targets, bool, seconds=60)
    running.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        _, errors = await running.communicate()

    assert running.returncode == 130
    assert errors == b"\nThe build was interrupted; its temporary files are deleted.\n"
    assert list((folder / "temporary").iterdir()) == []
