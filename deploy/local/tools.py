"""Programs that do not come as Python packages: Node, and Apollo Router where there is one."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

from deploy.local.problems import Problem

NODE_MAJOR = 20


def cache_folder() -> Path:
    """Where things are kept that several checkouts share."""
    home = Path("~").expanduser()
    if not os.access(home, os.W_OK):
        home = Path(__file__).parents[2] / ".proofgraph-home"  # as `make setup` provides it
        return home / ".cache" / "proofgraph"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "proofgraph"


def find_router() -> Path | None:
    """Apollo Router: named by APOLLO_ROUTER, on PATH, or built by `make router`.

    Raises:
        Problem: APOLLO_ROUTER names none.
    """
    named = os.environ.get("APOLLO_ROUTER")
    if named:
        path = Path(named).absolute()
        if not os.access(path, os.X_OK) or path.is_dir():
            raise Problem(f"APOLLO_ROUTER names {named}, which is no program: mend or unset it.")
        return path
    for candidate in (shutil.which("router"), cache_folder() / "router" / "bin" / "router"):
        if candidate and os.access(candidate, os.X_OK):
            return Path(candidate)
    return None


def find_node() -> Path:
    """Node.js, new enough.

    Raises:
        Problem: there is none.
    """
    node = shutil.which("node")
    if node is None:
        raise Problem(f"node is not on PATH: install Node.js {NODE_MAJOR} or newer.")
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    version = answer.stdout.strip().removeprefix("v")
    if not version.split(".")[0].isdigit() or int(version.split(".")[0]) < NODE_MAJOR:
        raise Problem(f"node is {version or 'broken'}: install Node.js {NODE_MAJOR} or newer.")
    return Path(node)


def is_open_to_all(folder: Path) -> bool:
    """Whether every user can reach what is in a folder."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))
