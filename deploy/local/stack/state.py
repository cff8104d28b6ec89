"""The state folder: data, logs, keys, who runs on it, and what it tells others."""

import fcntl
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from deploy.local.problems import Problem

ROOT = Path(__file__).parents[3]
"""The checkout."""

STACK_FILE = "stack.json"
"""What runs: addresses and pids, kept current."""

DEMO_FILE = "demo.json"
"""All a script needs of the demo; its pids are kept current too."""

SETTINGS_FILE = "settings.json"
"""Every setting of the last start."""

_LOCK_ATTEMPTS = 20
_LOCK_PAUSE = 0.025
"""Seconds; whoever looks whether somebody runs here holds the lock for a moment."""

_LOG_BYTES = 16 * 1024 * 1024
"""A log longer than this is put aside at the next start."""


class State:
    """One state folder; two of them never meet.

    Args:
        folder: made if it is not there.

    Raises:
        Problem: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self._lock_file = self.folder / "lock"
        self._lock: int | None = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise Problem(
                f"{self.folder} cannot be written ({error.strerror}):"
                " mend its owner or mode, or name another folder with PROOFGRAPH_STATE."
            ) from error

    def lock(self) -> bool:
        """Become the one that runs here; False if somebody does already.

        The system drops the lock with its holder, however that one ends.
        """
        handle = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        for _ in range(_LOCK_ATTEMPTS):
            if _flock(handle, fcntl.LOCK_EX):
                os.truncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                self._lock = handle
                return True
            time.sleep(_LOCK_PAUSE)
        os.close(handle)
        return False

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def holder(self) -> int | None:
        """The pid of the supervisor that runs here, if one does."""
        try:
            with self._lock_file.open() as file:
                return None if _flock(file.fileno(), fcntl.LOCK_SH) else int(file.read())
        except FileNotFoundError:
            return None

    def log(self, name: str) -> Path:
        """The log of a process, put aside first if it has grown long."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(self.logs / f"{name}.log.1")
        return path

    def read(self, name: str) -> Any:
        """What a JSON file here says; None if it is not there."""
        try:
            return json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise Problem(f"{self.folder / name} is not JSON: delete it.") from error

    def write(self, name: str, content: Any) -> None:
        """Write a JSON file: no reader sees half of it, and none but our user sees any."""
        handle, path = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
        Path(path).replace(self.folder / name)

    def forget(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)


def _flock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
