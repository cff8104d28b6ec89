"""Steps of `make setup`: each runs once, and again when one of its sources changes.

Uses the standard library alone, because `make setup` imports it before any package is installed.
"""

import hashlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROGRESS_SECONDS = 10.0
_LINES_SHOWN = 20


class CommandFailed(Exception):
    """A command failed; the message has the command and its last lines of output."""


class SetupInterrupted(Exception):
    """A command was killed, or not started, because set-up ends."""


@dataclass(frozen=True)
class Step:
    """One thing that set-up makes.

    Attributes:
        stamp: a file beside the result; holds the fingerprint of the sources it was made from.
        sources: files and folders; a change in them makes the step run again.
        version: any other text that makes the step run again when it changes.
    """

    name: str
    stamp: Path
    sources: tuple[Path, ...]
    make: Callable[[], None]
    version: str = ""

    def is_done(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == self._fingerprint()

    def run(self) -> None:
        fingerprint = self._fingerprint()  # a source that changes meanwhile causes another run
        with _Progress(self.name):
            self.make()
        self.stamp.write_text(fingerprint)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.stamp}\0{self.version}".encode())
        for source in self.sources:
            files = sorted(source.rglob("*")) if source.is_dir() else [source]
            for file in files:
                if file.is_file():
                    digest.update(f"{file}\0".encode() + file.read_bytes())
        return digest.hexdigest()


class _Children:
    """The running commands. Each leads a process group of its own, so it can be killed whole."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self.is_closed = False

    def start(self, command: Sequence[str], **options: object) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self.is_closed:
                raise SetupInterrupted
            child = subprocess.Popen(command, process_group=0, **options)  # type: ignore[call-overload]
            self._running.add(child.pid)
        return child  # type: ignore[no-any-return]

    def ended(self, child: "subprocess.Popen[bytes]") -> None:
        with self._lock:
            self._running.discard(child.pid)

    def kill(self) -> None:
        with self._lock:
            self.is_closed = True
            for pid in self._running:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)


_children = _Children()


def kill_commands() -> None:
    """Kill all running commands with their children, and let no other start."""
    _children.kill()


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command without showing its output.

    Raises:
        CommandFailed: the command's exit code is not 0.
    """
    with tempfile.TemporaryFile("w+") as output:
        child = _children.start(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            code = child.wait()
        except BaseException:  # an interrupt must not leave the command running
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        finally:
            _children.ended(child)
        if code and _children.is_closed:
            raise SetupInterrupted
        if code:
            output.seek(0)
            lines = output.read().splitlines()[-_LINES_SHOWN:]
            raise CommandFailed("\n    ".join([f"{' '.join(command)} failed in {folder}:", *lines]))


class _Progress:
    """Prints a step's start, its elapsed time every few seconds, and its end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = time.monotonic()
        self._over = threading.Event()

    def __enter__(self) -> None:
        print(f"  {self._name} ...", flush=True)
        threading.Thread(target=self._print_elapsed, daemon=True).start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        if not _children.is_closed:
            print(f"  {self._name} {'failed' if kind else 'done'}, {self._elapsed} s", flush=True)

    def _print_elapsed(self) -> None:
        while not self._over.wait(_PROGRESS_SECONDS):
            print(f"  {self._name} ... {self._elapsed} s", flush=True)

    @property
    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._started:.0f}"
