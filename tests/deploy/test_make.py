"""`make`, as a newcomer meets it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.stack.state import ROOT

TARGETS = [
    "help",
    "setup",
    "demo",
    "order",
    "screenshots",
    "test",
    "chaos",
    "up",
    "down",
    "status",
    "logs",
    "kafka",
    "router",
    "schema",
    "lint",
    "types",
    "bench-ledger",
    "bench-ingest",
    "bench-analytics",
]


def make(*arguments: str) -> "subprocess.CompletedProcess[str]":
    # As from a shell: a make above us would have this one tell which folder it enters.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    env.pop("MFLAGS", None)
    return subprocess.run(["make", *arguments], cwd=ROOT, env=env, capture_output=True, text=True)


def test_every_target_has_a_line_of_help() -> None:
    lines = make().stdout.splitlines()

    assert [line.split()[1] for line in lines] == TARGETS
    assert all(len(line.split()) > 3 for line in lines[1:])


def test_a_second_setup_has_nothing_to_do() -> None:
    make("setup")

    again = make("setup")

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One in which nothing has been set up."""
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    for folder in ("router", "snippet"):
        (tmp_path / folder).mkdir()
    return tmp_path


def setup(checkout: Path, path: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deploy.local.setup"],
        cwd=checkout,
        env={"PATH": path, "HOME": str(checkout)},
        capture_output=True,
        text=True,
    )


def test_a_machine_without_node(checkout: Path) -> None:
    done = setup(checkout, "/nowhere")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "node is not on PATH: install Node.js 20 or newer.\n"
    assert not (checkout / ".venv").exists()


def test_a_machine_with_an_old_node(checkout: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("node", "npm"):
        (programs / name).write_text("#!/bin/sh\necho v18.20.4\n")
        (programs / name).chmod(0o755)

    done = setup(checkout, f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")

    assert done.returncode == 2
    assert done.stderr == "node is v18.20.4: install Node.js 20 or newer.\n"


def test_a_machine_without_a_python_that_is_new_enough(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "bash"):
        (programs / name).symlink_to(shutil.which(name) or "")
    (programs / "python3").write_text("#!/bin/bash\nexit 1\n")
    (programs / "python3").chmod(0o755)

    done = subprocess.run(
        ["make", "setup"], cwd=tmp_path, env={"PATH": str(programs)}, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "There is no Python 3.11 or newer on PATH: install one, or name it in PYTHON."
    )
