"""Simulates power cuts of Valkey: its unsynced writes are lost at the next start.

    python -m tests.chaos.power <state folder> <command of the server...>

A killed process loses no write, because the operating system keeps its page cache. So the server
runs with a preloaded library (power.c). The library records up to which offset each file is synced,
and kills the process in place of a sync on request. Before the next start this module truncates the
append-only file to the synced offset.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("power.c")
_LIBRARY = "power.so"
_CUT = "cut"
"""While this file exists, the library kills the server at its next sync."""

_TRUNCATIONS = "truncations.jsonl"


class PowerSimulator:
    """Simulates power cuts of one server.

    Args:
        state: a folder that nothing else uses.
    """

    def __init__(self, state: Path) -> None:
        self._state = state

    @staticmethod
    def is_available() -> bool:
        """Whether the C compiler that builds the library is installed."""
        return shutil.which("cc") is not None

    def build(self) -> None:
        """Build the library."""
        self._state.mkdir(parents=True, exist_ok=True)
        library = str(self._state / _LIBRARY)
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", library, str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)

    def command_for(self, program: str) -> list[str]:
        """The command that runs a program with the preloaded library."""
        return [sys.executable, "-m", "tests.chaos.power", str(self._state), program]

    def cut_at_next_sync(self) -> None:
        """Cut the power at the server's next sync; the next start restores it."""
        (self._state / _CUT).touch()

    def truncations(self) -> list[int]:
        """The number of bytes that each power cut removed."""
        path = self._state / _TRUNCATIONS
        return [json.loads(line) for line in path.read_text().split()] if path.exists() else []

    def restore(self, folder: Path) -> None:
        """After a power cut, truncate the append-only files in a folder to their synced offsets."""
        cut = self._state / _CUT
        if not cut.exists():
            return
        lost = sum(self._truncate(path) for path in folder.glob("appendonlydir/*.incr.aof"))
        with (self._state / _TRUNCATIONS).open("a") as truncations:
            truncations.write(f"{lost}\n")
        cut.unlink()

    def _truncate(self, path: Path) -> int:
        """Truncate a file to its synced offset; returns the number of bytes removed."""
        status = path.stat()
        record = self._state / str(status.st_ino)
        synced = int(record.read_text()) if record.exists() else 0
        if synced < status.st_size:
            os.truncate(path, synced)
        return max(0, status.st_size - synced)


def main() -> None:
    state, command = Path(sys.argv[1]), sys.argv[2:]
    PowerSimulator(state).restore(Path(command[command.index("--dir") + 1]))
    preloaded = {"LD_PRELOAD": str(state / _LIBRARY), "POWER_STATE": str(state)}
    os.execve(command[0], command, {**os.environ, **preloaded})  # noqa: S606


if __name__ == "__main__":
    main()
