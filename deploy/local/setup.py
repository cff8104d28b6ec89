"""`make setup`: install everything the checkout needs; run again, only what a lock file changed.

Uses the standard library alone, because it runs before there is a virtual environment.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local.problems import Problem
from deploy.local.steps import CommandFailed, Step, kill_commands, run
from deploy.local.tools import NODE_MAJOR, ROOT, find_node, home_folder

VENV = ROOT / ".venv"
ROUTER, SNIPPET = ROOT / "router", ROOT / "snippet"

PYTHON = (3, 11)
UV = "uv==0.13.9"  # installs the lock file some five times as fast as pip

_UNUSED_NODE_MODULES = ("monaco-editor/dev", "monaco-editor/min", "monaco-editor/min-maps")
"""Other builds of the editor in GraphiQL, 74 MB; `build.mjs` reads `monaco-editor/esm`."""

_INTERRUPTED = 130


def main() -> int:
    # Chains run in parallel; the steps of one chain run in order.
    chains = [
        [_python_step()],
        [_npm_step("router", ROUTER)],
        [_npm_step("snippet and Chromium", SNIPPET), _build_step(), _chromium_step()],
    ]
    waiting = [chain for chain in chains if not all(step.is_done() for step in chain)]
    # A terminal that closes and `kill` end set-up as Ctrl-C does: no command may stay behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if waiting:
            _check_machine()
            _run_chains(waiting)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except CommandFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Set-up was interrupted; `make setup` continues it.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _run_chains(chains: Iterable[Sequence[Step]]) -> None:
    started = time.monotonic()
    _provide_home()
    print("Setting up; the first time takes a minute or two.", flush=True)

    def run_chain(chain: Sequence[Step]) -> None:
        for step in chain:
            if not step.is_done():
                step.run()

    with ThreadPoolExecutor() as pool:
        running = [pool.submit(run_chain, chain) for chain in chains]
        try:
            for chain in running:
                chain.result()
        except BaseException:  # the pool waits for its threads, and each waits for its command
            kill_commands()
            raise
    print(f"Set up in {time.monotonic() - started:.0f} s.", flush=True)


def _check_machine() -> None:
    """Raises a Problem if set-up cannot succeed on this machine or in this folder."""
    if sys.version_info < PYTHON:
        raise Problem(
            f"This is Python {sys.version.split()[0]}: install Python {PYTHON[0]}.{PYTHON[1]}"
            " or newer, or name it in PYTHON."
        )
    for folder in (ROOT, ROUTER, SNIPPET):
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise Problem(
                f"{folder} cannot be written ({error.strerror}): change its owner or mode,"
                " or clone the repository into a folder of your own."
            ) from error
    find_node()
    if shutil.which("npm") is None:
        raise Problem(f"npm is not on PATH: install Node.js {NODE_MAJOR} or newer.")


def _provide_home() -> None:
    home = home_folder()
    if home != Path("~").expanduser():
        home.mkdir(exist_ok=True)
        os.environ["HOME"] = str(home)
        os.environ.pop("XDG_CACHE_HOME", None)


def _python_step() -> Step:
    python = ".".join(map(str, sys.version_info[:2]))
    version = f"{python}, node {shutil.which('node')}"  # Playwright gets a link to node
    lock = ROOT / "requirements.lock"
    return Step("Python packages", VENV / "made-from", (lock,), _install, version=version)


def _install() -> None:
    """Install the lock file into the virtual environment: with uv, or with pip if uv fails."""
    # A set-up that was killed may leave an environment without pip, or half a package that
    # installers take for a whole one: only a finished environment is used again.
    unfinished, finished = VENV / "unfinished", VENV / "made-from"
    is_reusable = finished.exists() and not unfinished.exists()
    if not is_reusable or not _has_this_version(VENV / "bin" / "python"):
        try:
            run([sys.executable, "-m", "venv", "--clear", str(VENV)], ROOT)
        except CommandFailed as failed:
            raise Problem(
                f"{sys.executable} cannot make a virtual environment (on Debian and Ubuntu:"
                f" apt install python3-venv):\n{failed}"
            ) from failed
    unfinished.touch()
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip"]
    # The lock file is complete but for pandas and numpy (160 MB): chdb names them as requirements,
    # and uses them only for data frames. Bytecode of all packages would take another 110 MB.
    lock = ["--no-deps", "--require-hashes", "-r", str(ROOT / "requirements.lock")]
    try:
        with tempfile.TemporaryDirectory(dir=VENV, prefix="uv-") as folder:
            run([*pip, "install", "--quiet", "--target", folder, UV], ROOT)
            uv = [f"{folder}/bin/uv", "pip", "install", "--python", python]
            run([*uv, *lock], ROOT, _uv_environment(pip))
    except CommandFailed:
        print("  uv failed to install; pip tries now and takes longer", flush=True)
        run([*pip, "install", "--quiet", "--no-compile", *lock], ROOT)
    _link_node()
    unfinished.unlink()


def _link_node() -> None:
    """Replace Playwright's own copy of Node.js (144 MB) by a link to the installed one."""
    for driver in VENV.glob("lib/python3*/site-packages/playwright/driver"):
        (driver / "node").unlink(missing_ok=True)
        (driver / "node").symlink_to(find_node())


def _has_this_version(python: Path) -> bool:
    if not python.exists():
        return False
    answer = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    return answer.stdout.split()[-1:] == [sys.version.split()[0]]


def _uv_environment(pip: Sequence[str]) -> dict[str, str]:
    """The environment for uv, with pip's index settings in uv's own variables."""
    answer = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False)
    settings = dict(
        (name.split(".")[-1], value.strip("'"))
        for name, _, value in (line.partition("=") for line in answer.stdout.splitlines())
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
    modules = folder / "node_modules"

    def install() -> None:
        run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], folder)
        for unused in _UNUSED_NODE_MODULES:
            shutil.rmtree(modules / unused, ignore_errors=True)

    lock = folder / "package-lock.json"
    return Step(f"npm packages of {name}", modules / "made-from", (lock,), install)


def _build_step() -> Step:
    names = ("src", "demo", "graphiql", "build.mjs", "package-lock.json")
    return Step(
        "snippet's build",
        SNIPPET / "dist" / "made-from",
        tuple(SNIPPET / name for name in names),
        lambda: run(["node", "build.mjs"], SNIPPET),
    )


def _chromium_step() -> Step:
    """Unpack the browser that an npm package carries, and delete the packed one (64 MB)."""
    modules = SNIPPET / "node_modules"

    def unpack() -> None:
        run(["node", "test/chromium.mjs"], SNIPPET)
        if any(modules.glob(".cache/chromium-*/launch")):  # none with CHROMIUM_PATH
            (modules / "@sparticuz/chromium/bin/chromium.br").unlink(missing_ok=True)

    return Step(
        "Chromium",
        modules / "chromium-made-from",
        (SNIPPET / "package-lock.json", SNIPPET / "test" / "chromium.mjs"),
        unpack,
    )


if __name__ == "__main__":
    sys.exit(main())
