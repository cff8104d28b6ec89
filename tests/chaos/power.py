"""Power cuts for Valkey: what it had not synced is gone when it starts again.

    python -m tests.chaos.power <notes> <command of the server...>

A killed process loses nothing that it wrote: the system keeps it. So the server runs with a small
library before it (power.c) that notes how far each file is synced, and dies in place of a sync when
it is told to. Before the next start this module cuts the append-only file back to what was synced.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("power.c")
_LIBRARY = "power.so"
_FAILING = "failing"
_CUTS = "cuts.jsonl"


class Power:
    """The power of one server.

    Args:
        notes: a folder of its own.
    """

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    @staticmethod
    def can_be_cut() -> bool:
        """Whether there is a C compiler."""
        return shutil.which("cc") is not None

    def prepare(self) -> None:
        """Build the library."""
        self._notes.mkdir(parents=True, exist_ok=True)
        library = str(self._notes / _LIBRARY)
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", library, str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)

    def command(self, own: str) -> list[str]:
        """What runs in place of the server's own command."""
        return [sys.executable, "-m", "tests.chaos.power", str(self._notes), own]

    def fail(self) -> None:
        """From the next sync on there is no power, until the next start."""
        (self._notes / _FAILING).touch()

    def cuts(self) -> list[int]:
        """How many bytes each power cut has taken."""
        path = self._notes / _CUTS
        return [json.loads(line) for line in path.read_text().split()] if path.exists() else []

    def back(self, folder: Path) -> None:
        """Cut the files in a folder back to what was synced, if the power has failed."""
        failing = self._notes / _FAILING
        if not failing.exists():
            return
        lost = sum(self._cut(path) for path in folder.glob("appendonlydir/*.incr.aof"))
        with (self._notes / _CUTS).open("a") as cuts:
            cuts.write(f"{lost}\n")
        failing.unlink()

    def _cut(self, path: Path) -> int:
        about = path.stat()
        note = self._notes / str(about.st_ino)
        kept = int(note.read_text()) if note.exists() else 0
        if kept < about.st_size:
            os.truncate(path, kept)
        return max(0, about.st_size - kept)


def main() -> None:
    notes, command = Path(sys.argv[1]), sys.argv[2:]
    Power(notes).back(Path(command[command.index("--dir") + 1]))
    preloaded = {"LD_PRELOAD": str(notes / _LIBRARY), "POWER_NOTES": str(notes)}
    os.execve(command[0], command, {**os.environ, **preloaded})  # noqa: S606


if __name__ == "__main__":
    main()
