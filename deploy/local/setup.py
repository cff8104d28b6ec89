"""`make setup`: everything the checkout needs, made once and again only when a lock file changes.

Runs on a bare Python, before there is a virtual environment: the standard library alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv"

PYTHON = (3, 11)
NODE_MAJOR = 20
UV = "uv==0.13.9"  # installs the lock file some five times as fast as pip

_SIGN_OF_LIFE_SECONDS = 10.0
_LINES_SHOWN = 20


class Missing(Exception):
    """The machine lacks something; says what and how to mend it."""


class Failed(Exception):
    """A command failed; says which and what it wrote last."""


@dataclass(frozen=True)
class Step:
    """Something to be made, and what it is made from.

    Attributes:
        stamp: a file beside what is made; it holds the fingerprint of what that was made from.
        sources: files and folders whose change asks for it to be made again.
    """

    name: str
    stamp: Path
    sources: tuple[Path, ...]
    make: Callable[[], None]

    def is_done(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == self._fingerprint()

    def run(self) -> None:
        fingerprint = self._fingerprint()  # a source that changes meanwhile asks for another run
        with _told(self.name):
            self.make()
        self.stamp.write_text(fingerprint)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
        for source in self.sources:
            files = sorted(source.rglob("*")) if source.is_dir() else [source]
            for file in files:
                if file.is_file():
                    digest.update(f"{file}\0".encode() + file.read_bytes())
        return digest.hexdigest()


ROUTER, SNIPPET = ROOT / "router", ROOT / "snippet"


def main() -> int:
    # One line of steps for each thing that can be made beside the others.
    chains = [
        [Step("Python packages", VENV / "made-from", (ROOT / "requirements.lock",), _python)],
        [_npm_step("router", ROUTER)],
        [
            _npm_step("snippet and Chromium", SNIPPET),
            Step("snippet's build", SNIPPET / "dist" / "made-from", _snippet_sources(), _build),
            Step(
                "Chromium unpacked",
                SNIPPET / "node_modules" / "chromium-made-from",
                (SNIPPET / "package-lock.json", SNIPPET / "test" / "chromium.mjs"),
                lambda: _run(["node", "test/chromium.mjs"], SNIPPET),
            ),
        ],
    ]
    waiting = [chain for chain in chains if not all(step.is_done() for step in chain)]
    try:
        if waiting:
            _check_machine()
            _make(waiting)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


def _make(chains: Iterable[Sequence[Step]]) -> None:
    started = time.monotonic()
    _provide_home()
    print("Setting up; the first time takes a minute or two.", flush=True)

    def run(chain: Sequence[Step]) -> None:
        for step in chain:
            if not step.is_done():
                step.run()

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(run, chain) for chain in chains]:
            done.result()
    print(f"Set up in {time.monotonic() - started:.0f} s.", flush=True)


def _check_machine() -> None:
    if sys.version_info < PYTHON:
        raise Missing(
            f"This is Python {sys.version.split()[0]}: install Python {PYTHON[0]}.{PYTHON[1]}"
            " or newer, or name it in PYTHON."
        )
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Missing(f"{program} is not on PATH: install Node.js {NODE_MAJOR} or newer.")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    major = version.stdout.strip().lstrip("v").split(".")[0]
    if not major.isdigit() or int(major) < NODE_MAJOR:
        found = version.stdout.strip() or "broken"
        raise Missing(f"node is {found}: install Node.js {NODE_MAJOR} or newer.")


def _provide_home() -> None:
    """A home for the caches of npm and uv, which end without one; not every user has one."""
    if not os.access(Path("~").expanduser(), os.W_OK):
        home = ROOT / ".proofgraph-home"
        home.mkdir(exist_ok=True)
        os.environ["HOME"] = str(home)
        os.environ.pop("XDG_CACHE_HOME", None)


def _python() -> None:
    """The virtual environment, from the lock file; by uv, or by pip where uv cannot."""
    if not _is_of_this_python(VENV / "bin" / "python"):
        try:
            _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        except Failed as failed:
            raise Missing(
                f"{sys.executable} cannot make a virtual environment (on Debian and Ubuntu:"
                f" apt install python3-venv):\n{failed}"
            ) from failed
    pip = [str(VENV / "bin" / "python"), "-m", "pip"]
    lock = ["--require-hashes", "-r", str(ROOT / "requirements.lock")]
    try:
        _run([*pip, "install", "--quiet", UV])
        uv = [str(VENV / "bin" / "uv"), "pip", "install", "--python", str(VENV / "bin" / "python")]
        _run([*uv, "--compile-bytecode", *lock], environment=_uv_environment(pip))
    except Failed:
        print("  uv could not install; pip does, and takes longer", flush=True)
        _run([*pip, "install", "--quiet", *lock])


def _is_of_this_python(python: Path) -> bool:
    if not python.exists():
        return False
    told = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    return told.stdout.split()[-1:] == [sys.version.split()[0]]


def _uv_environment(pip: Sequence[str]) -> dict[str, str]:
    """uv reads none of pip's settings; where packages come from is told to it."""
    told = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False)
    settings = dict(
        (name.split(".")[-1], value.strip("'"))
        for name, _, value in (line.partition("=") for line in told.stdout.splitlines())
    )
    names = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "cert": "SSL_CERT_FILE",
    }
    found = {uv: settings[pip_name] for pip_name, uv in names.items() if pip_name in settings}
    return found | os.environ


def _npm_step(name: str, folder: Path) -> Step:
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    return Step(
        f"npm packages of {name}",
        folder / "node_modules" / "made-from",
        (folder / "package-lock.json",),
        lambda: _run(command, folder),
    )


def _snippet_sources() -> tuple[Path, ...]:
    names = ("src", "demo", "graphiql", "build.mjs", "package-lock.json")
    return tuple(SNIPPET / name for name in names)


def _build() -> None:
    _run(["node", "build.mjs"], SNIPPET)


def _run(
    command: Sequence[str], folder: Path = ROOT, environment: dict[str, str] | None = None
) -> None:
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


class _told:  # noqa: N801  (a context manager, read as a word)
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


if __name__ == "__main__":
    sys.exit(main())
