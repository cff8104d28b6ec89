"""The state folder: data, logs, keys, the lock of its supervisor, and files for other programs."""

import fcntl
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from deploy.local.problems import Problem
from deploy.local.tools import ROOT as ROOT

STACK_FILE = "stack.json"
"""Addresses, pids and readiness of the running stack; rewritten at every change."""

DEMO_FILE = "demo.json"
"""The demo's log-in, site and addresses for scripts; its pids are rewritten as well."""

SETTINGS_FILE = "settings.json"
"""All settings of the last start."""

_LOCK_ATTEMPTS = 20
_LOCK_PAUSE = 0.025
"""Seconds. `holder` takes the lock for a moment, so a first failure proves nothing."""

_LOG_BYTES = 16 * 1024 * 1024
"""A longer log is renamed to `.log.1` at the next start."""


class State:
    """One state folder. Stacks on different folders share nothing.

    Args:
        folder: created if it does not exist.

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
                " change its owner or mode, or name another folder in PROOFGRAPH_STATE."
            ) from error

    def lock(self) -> bool:
        """Take the folder's lock; False if another supervisor holds it.

        The kernel releases the lock when its holder ends, however it ends.
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
        """The pid of the supervisor that holds the lock; None if nobody does."""
        try:
            with self._lock_file.open() as file:
                return None if _flock(file.fileno(), fcntl.LOCK_SH) else int(file.read())
        except FileNotFoundError:
            return None

    def log(self, name: str) -> Path:
        """The path of a process's log; a log that has grown too long is renamed first."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(self.logs / f"{name}.log.1")
        return path

    def read(self, name: str) -> Any:
        """The content of a JSON file in the folder; None if there is no such file."""
        try:
            return json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise Problem(f"{self.folder / name} is not JSON: delete it.") from error

    def write(self, name: str, content: Any) -> None:
        """Replace a JSON file atomically; only our user can read it."""
        handle, path = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
        Path(path).replace(self.folder / name)

    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)


def _flock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
