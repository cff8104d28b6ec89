"""The stops of an order: those that README.md lists, and those that a running stack records."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from deploy.local.stack.environment import SUBGRAPHS
from deploy.local.stack.options import OWN_COMMAND

ROOT = Path(__file__).parents[2]
_RECORDER = Path(__file__).parent / "order_recorder"
_SECTION = "## The path of one order"
_STOP = re.compile(r"^\d+\. `([\w/.]+: \w+)`", re.MULTILINE)

_PYTHON_PROCESSES = (
    "subgraphs",
    *SUBGRAPHS,
    "inbox",
    "ingest",
    "live",
    "stream-worker",
    "celery",
    "archiver",
)


class Record(NamedTuple):
    """One call of a stop, or one item that an async generator yielded."""

    time: float
    stop: str


def readme_stops() -> list[str]:
    """The numbered stops of the README, each as "path: function"."""
    readme = (ROOT / "README.md").read_text()
    section = readme.split(_SECTION)[1].split("\n## ")[0]
    return _STOP.findall(section)


def python_stops() -> list[str]:
    """The stops in Python; the rest are the snippet's."""
    return [stop for stop in readme_stops() if stop.partition(":")[0].endswith(".py")]


def recording_commands(file: Path) -> dict[str, list[str]]:
    """Commands for `Stack` by which each Python process records its stops in a file."""
    settings = {
        "PYTHONPATH": str(_RECORDER),
        "ORDER_STOPS": "\n".join(python_stops()),
        "ORDER_RECORD": str(file),
    }
    command = ["env", *(f"{name}={value}" for name, value in settings.items()), OWN_COMMAND]
    return dict.fromkeys(_PYTHON_PROCESSES, command)


def read_records(file: Path) -> list[Record]:
    """All records, in the order in which they were made."""
    lines = file.read_text().splitlines() if file.exists() else []
    return sorted(Record(**json.loads(line)) for line in lines)
