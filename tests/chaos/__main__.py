"""`python -m tests.chaos --kills 20 --seed 7`: inject faults under load, then check the data.

Exit code 1: an acknowledged event was lost or duplicated, a claim arrived out of order, the stores'
counts differ, or a process did not recover.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos import report
from tests.chaos.faults import FaultKind
from tests.chaos.power import PowerSimulator
from tests.chaos.run import Impact, RunOptions, run


def main() -> int:
    arguments = _parse()
    state = Path(tempfile.mkdtemp(prefix="chaos-"))
    logging.basicConfig(filename=state / "chaos.log", level=logging.INFO)
    options = RunOptions(
        fault_count=arguments.kills,
        seed=arguments.seed,
        state=state,
        tenants=arguments.tenants,
        workers=arguments.workers,
        only=tuple(name for name in arguments.only.split(",") if name),
        kinds=tuple(arguments.kind) or tuple(FaultKind),
        worker=arguments.worker,
        fsync=arguments.fsync,
        timeout=arguments.timeout,
    )
    if not PowerSimulator.is_available():
        _print("No C compiler `cc` was found: Valkey is killed instead of losing power.")
    _print(
        f"Starting a stack on {state}; injecting {options.fault_count} faults"
        f" from seed {options.seed}."
    )
    number = 0

    def print_impact(impact: Impact) -> None:
        nonlocal number
        number += 1
        _print(report.impact_line(number, impact))

    outcome = asyncio.run(run(options, print_impact))
    _print(report.table(outcome))
    succeeded = report.is_successful(outcome)
    if succeeded:
        shutil.rmtree(state)
    else:
        _print(report.problems(outcome))
        _print(f"The logs are in {state}.")
    _print(report.json_line(outcome))
    return 0 if succeeded else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="number of faults of any kind")
    parser.add_argument("--seed", type=int, default=7, help="selects faults and load")
    parser.add_argument("--tenants", type=int, default=3, help="number of merchants")
    parser.add_argument("--workers", type=int, default=2, help="number of stream workers")
    parser.add_argument(
        "--only", default="", help="processes that receive faults, separated by commas"
    )
    parser.add_argument(
        "--kind",
        type=FaultKind,
        choices=list(FaultKind),
        action="append",
        default=[],
        help="kind of fault to inject; repeatable; default: all",
    )
    parser.add_argument("--worker", default="", help="module that replaces the stream worker")
    parser.add_argument("--fsync", default="always", help="Valkey's appendfsync")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds until a fault counts as not recovered"
    )
    return parser.parse_args()


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
