"""`make setup`: everything the checkout needs, made once and again only when a lock file changes.

Runs on a bare Python, before there is a virtual environment: the standard library alone.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local.engines.kafka import jars
from deploy.local.steps import Failed, Step, run

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv"
ROUTER, SNIPPET = ROOT / "router", ROOT / "snippet"

PYTHON = (3, 11)
NODE_MAJOR = 20
UV = "uv==0.13.9"  # installs the lock file some five times as fast as pip


class Missing(Exception):
    """The machine lacks something; says what and how to mend it."""


def main() -> int:
    # One line of steps for each thing that can be made beside the others.
    chains = [
        [_python_step()],
        [_npm_step("router", ROUTER)],
        [_npm_step("snippet and Chromium", SNIPPET), _build_step(), _chromium_step()],
    ]
    if jars.can_run():
        chains.append([jars.step()])
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

    def make(chain: Sequence[Step]) -> None:
        for step in chain:
            if not step.is_done():
                step.run()

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(make, chain) for chain in chains]:
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


def _python_step() -> Step:
    python = ".".join(map(str, sys.version_info[:2]))
    lock = ROOT / "requirements.lock"
    return Step("Python packages", VENV / "made-from", (lock,), _install, maker=python)


def _install() -> None:
    """The virtual environment, from the lock file; by uv, or by pip where uv cannot."""
    if not _is_of_this_python(VENV / "bin" / "python"):
        try:
            run([sys.executable, "-m", "venv", "--clear", str(VENV)], ROOT)
        except Failed as failed:
            raise Missing(
                f"{sys.executable} cannot make a virtual environment (on Debian and Ubuntu:"
                f" apt install python3-venv):\n{failed}"
            ) from failed
    pip = [str(VENV / "bin" / "python"), "-m", "pip"]
    lock = ["--require-hashes", "-r", str(ROOT / "requirements.lock")]
    try:
        run([*pip, "install", "--quiet", UV], ROOT)
        uv = [str(VENV / "bin" / "uv"), "pip", "install", "--python", str(VENV / "bin" / "python")]
        run([*uv, "--compile-bytecode", *lock], ROOT, _uv_environment(pip))
    except Failed:
        print("  uv could not install; pip does, and takes longer", flush=True)
        run([*pip, "install", "--quiet", *lock], ROOT)


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
        lambda: run(command, folder),
    )


def _build_step() -> Step:
    names = ("src", "demo", "graphiql", "build.mjs", "package-lock.json")
    return Step(
        "snippet's build",
        SNIPPET / "dist" / "made-from",
        tuple(SNIPPET / name for name in names),
        lambda: run(["node", "build.mjs"], SNIPPET),
    )


def _chromium_step() -> Step:
    """The browser lies packed in an npm package."""
    return Step(
        "Chromium unpacked",
        SNIPPET / "node_modules" / "chromium-made-from",
        (SNIPPET / "package-lock.json", SNIPPET / "test" / "chromium.mjs"),
        lambda: run(["node", "test/chromium.mjs"], SNIPPET),
    )


if __name__ == "__main__":
    sys.exit(main())
