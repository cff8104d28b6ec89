"""`make` in a fresh clone and in this checkout."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.stack.state import ROOT

TARGETS = [
    "help",
    "setup",
    "demo",
    "order",
    "screenshots",
    "check",
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
    "bench",
    "bench-ledger",
    "bench-ingest",
    "bench-graph",
    "bench-edge",
    "bench-orders",
    "bench-live",
    "bench-analytics",
]


def make(*arguments: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    # Under another make, this one would print the folders that it enters.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    env.pop("MFLAGS", None)
    return subprocess.run(["make", *arguments], cwd=folder, env=env, capture_output=True, text=True)


def test_every_target_has_a_line_of_help() -> None:
    lines = make().stdout.splitlines()

    assert [line.split()[1] for line in lines] == TARGETS
    assert all(len(line.split()) > 3 for line in lines[1:])


def test_a_second_set_up_does_nothing() -> None:
    make("setup")

    again = make("setup")

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


@pytest.mark.parametrize(("target", "code"), [("down", 0), ("status", 3), ("logs", 1)])
def test_a_fresh_clone_says_that_nothing_is_set_up(tmp_path: Path, target: str, code: int) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)

    done = make(target, folder=tmp_path)

    assert done.stdout == "Nothing is set up here: run `make setup`.\n"
    assert f"Error {code}" in done.stderr if code else done.stderr == ""
    assert done.returncode == (2 if code else 0)


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
