"""Steps of a set-up: done once, and again when what they are made from changes.

The standard library alone: nothing else may be there yet.
"""

import hashlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SIGN_OF_LIFE_SECONDS = 10.0
_LINES_SHOWN = 20


class Failed(Exception):
    """A command failed; says which and what it wrote last."""


@dataclass(frozen=True)
class Step:
    """Something to be made, and what it is made from.

    Attributes:
        stamp: a file beside what is made; it holds the fingerprint of what that was made from.
        sources: files and folders whose change asks for it to be made again.
        maker: what else asks for that when it changes, as the version of a program does.
    """

    name: str
    stamp: Path
    sources: tuple[Path, ...]
    make: Callable[[], None]
    maker: str = ""

    def is_done(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == self._fingerprint()

    def run(self) -> None:
        fingerprint = self._fingerprint()  # a source that changes meanwhile asks for another run
        with _Told(self.name):
            self.make()
        self.stamp.write_text(fingerprint)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.stamp}\0{self.maker}".encode())
        for source in self.sources:
            files = sorted(source.rglob("*")) if source.is_dir() else [source]
            for file in files:
                if file.is_file():
                    digest.update(f"{file}\0".encode() + file.read_bytes())
        return digest.hexdigest()


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command, quietly.

    Raises:
        Failed: it did not end well.
    """
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            output.seek(0)
            lines = output.read().splitlines()[-_LINES_SHOWN:]
            raise Failed("\n    ".join([f"{' '.join(command)} failed in {folder}:", *lines]))


class _Told:
    """Says that a step begins, that it goes on, and how long it took."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = time.monotonic()
        self._over = threading.Event()

    def __enter__(self) -> None:
        print(f"  {self._name} ...", flush=True)
        threading.Thread(target=self._live, daemon=True).start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        print(f"  {self._name} {'failed' if kind else 'done'}, {self._seconds} s", flush=True)

    def _live(self) -> None:
        while not self._over.wait(_SIGN_OF_LIFE_SECONDS):
            print(f"  {self._name} ... {self._seconds} s", flush=True)

    @property
    def _seconds(self) -> str:
        return f"{time.monotonic() - self._started:.0f}"
