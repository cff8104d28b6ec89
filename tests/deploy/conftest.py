"""A state folder for each test, and the processes that run on it."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local.stack import orphan_reaper
from deploy.local.stack.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state")
    yield state
    orphan_reaper.end_processes(str(state.folder))


def running_on(state: State) -> list[int]:
    """The pids of all processes that have the state folder in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(orphan_reaper.STACK_VARIABLE) == str(state.folder):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found
