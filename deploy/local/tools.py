"""Programs that are not Python packages (Node.js, Apollo Router) and the folders they live in.

Uses the standard library alone, because `make setup` imports it before any package is installed.
"""

import os
import shutil
import stat
import subprocess
from pathlib import Path

from deploy.local.problems import Problem

NODE_MAJOR = 20

ROOT = Path(__file__).parents[2]
"""The checkout."""


def home_folder() -> Path:
    """The user's home; `.proofgraph-home` in the checkout if the home cannot be used.

    npm, uv and Maven need a home that they can search and write. Service users often have none.
    """
    home = Path("~").expanduser()
    if os.access(home, os.W_OK | os.X_OK):
        return home
    return ROOT / ".proofgraph-home"


def cache_folder() -> Path:
    """The folder of everything that several checkouts share."""
    home = home_folder()
    if home == Path("~").expanduser() and os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "proofgraph"
    return home / ".cache" / "proofgraph"


def find_router() -> Path | None:
    """The Apollo Router program: from APOLLO_ROUTER, from PATH, or built by `make router`.

    Raises:
        Problem: APOLLO_ROUTER does not name a program.
    """
    named = os.environ.get("APOLLO_ROUTER")
    if named:
        path = Path(named).absolute()
        if not os.access(path, os.X_OK) or path.is_dir():
            raise Problem(
                f"APOLLO_ROUTER is {named}, which is not a program: correct it or unset it."
            )
        return path
    for candidate in (shutil.which("router"), cache_folder() / "router" / "bin" / "router"):
        if candidate and os.access(candidate, os.X_OK):
            return Path(candidate)
    return None


def find_node() -> Path:
    """The Node.js program.

    Raises:
        Problem: Node.js is missing or too old.
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
    """Whether every user of the machine can enter a folder."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))
