"""The last line of a bench: one JSON object, the same for all benches."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any, NamedTuple

import psutil


class Figure(NamedTuple):
    """One measured figure; a row of the table in `docs/performance.md`."""

    figure: str
    value: float
    unit: str
    peer: str | None = None
    """What was measured beside it in the same run, with its value."""
    ratio: float | None = None
    """The value divided by the peer's."""
    bound: str | None = None
    """What cannot be exceeded on this machine, with its value."""
    cpu_us: float | None = None
    """Processor time of our processes per request or event, in microseconds: the figure that other
    programs disturb least."""


def result_of(bench: str, figures: list[Figure], details: dict[str, Any]) -> dict[str, Any]:
    """The object of the last line. `details` are the bench's own figures, in its own form."""
    return {
        "bench": bench,
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        **details,
        "figures": [figure._asdict() for figure in figures],
    }


def print_result(result: dict[str, Any]) -> None:
    """Print the last line."""
    print_line(json.dumps(result))


def print_line(text: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def machine() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "Processor": processor(),
        "Cores": str(len(os.sched_getaffinity(0))),
        "Memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def processor() -> str:
    """The processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
