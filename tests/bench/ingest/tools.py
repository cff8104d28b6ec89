"""Finds nginx and wrk, and installs them from Debian if they are missing."""

import os
import shutil
import subprocess
import sys

_PACKAGES = {"nginx": "nginx-light", "wrk": "wrk"}


def ensure_tools() -> None:
    """Install nginx and wrk if they are missing; exits with a message without root or apt-get."""
    missing = [package for name, package in _PACKAGES.items() if find(name) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"{' and '.join(missing)} must be installed: the benchmark needs them.")
    print(f"Installing {' and '.join(missing)}", flush=True)
    # RUNLEVEL=1 keeps the package from starting a server of its own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    for command in (["apt-get", "update"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


def find(name: str) -> str | None:
    """The path of a program, or None; sbin folders are searched even if PATH lacks them."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
