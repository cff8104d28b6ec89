"""Kafka's jars, which Maven fetches once for all checkouts."""

import fcntl
import os
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

from deploy.local.problems import Problem
from deploy.local.steps import CommandFailed, Step, run
from deploy.local.tools import cache_folder, home_folder

POM = Path(__file__).parent / "pom.xml"


def jars_folder() -> Path:
    """The folder of the jars. Its name has a hash of pom.xml, so each version has its own."""
    return cache_folder() / f"kafka-{sha256(POM.read_bytes()).hexdigest()[:12]}"


def fetch_jars() -> None:
    """Fetch the jars unless they are here.

    Raises:
        Problem: Maven is missing or failed.
    """
    folder = jars_folder()
    step = Step("Kafka's jars (43 MB, once)", folder / "made-from", (), lambda: _fetch(folder))
    if step.is_done():
        return
    if shutil.which("mvn") is None:
        raise Problem("mvn is not on PATH: install Maven, which fetches Kafka's jars.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Parallel test runs share the folder: one fetches, the others wait for it.
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if step.is_done():
            return
        try:
            step.run()
        except CommandFailed as failed:
            raise Problem(f"Maven could not fetch Kafka's jars:\n{failed}", exit_code=1) from failed


def _fetch(folder: Path) -> None:
    # Java takes the user's home from the system, but that home may not be writable.
    home = f"-Duser.home={home_folder()}"
    command = ["mvn", "-B", "-q", home, "-f", str(POM), "dependency:copy-dependencies"]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as fetched:
        run([*command, f"-DoutputDirectory={fetched}/jars"], POM.parent, dict(os.environ))
        shutil.rmtree(folder, ignore_errors=True)
        (Path(fetched) / "jars").rename(folder)
