"""Kafka's jars, fetched by Maven once for all checkouts. The standard library alone: `make setup`
runs this before there is anything else.
"""

import os
import shutil
from hashlib import sha256
from pathlib import Path

from deploy.local.steps import Step, run
from deploy.local.tools import cache_folder

POM = Path(__file__).parent / "pom.xml"


def jars_folder() -> Path:
    """A folder for each list of jars: checkouts that differ do not meet."""
    return cache_folder() / f"kafka-{sha256(POM.read_bytes()).hexdigest()[:12]}"


def are_here() -> bool:
    return step().is_done()


def can_run() -> bool:
    """Whether there are a Java to run a broker and a Maven to fetch it."""
    return all(shutil.which(program) for program in ("java", "mvn"))


def step() -> Step:
    return Step("Kafka's jars", jars_folder() / "made-from", (), _fetch)


def _fetch() -> None:
    folder = jars_folder()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Java takes a user's home from the system, which need not be the one that can be written.
    home = f"-Duser.home={Path('~').expanduser()}"
    command = ["mvn", "-B", "-q", home, "-f", str(POM), "dependency:copy-dependencies"]
    run([*command, f"-DoutputDirectory={folder}"], POM.parent, dict(os.environ))
