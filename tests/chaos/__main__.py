"""`python -m tests.chaos --kills 20 --seed 7`: random faults under load, and nothing may be lost.

Exit code 1: something acknowledged was lost or doubled, came out of order, or never recovered.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos import report
from tests.chaos.faults import Kind
from tests.chaos.power import Power
from tests.chaos.run import Felt, Plan, run


def main() -> int:
    options = _parse()
    state = Path(tempfile.mkdtemp(prefix="chaos-"))
    logging.basicConfig(filename=state / "chaos.log", level=logging.INFO)
    plan = Plan(
        kills=options.kills,
        seed=options.seed,
        state=state,
        tenants=options.tenants,
        workers=options.workers,
        only=tuple(name for name in options.only.split(",") if name),
        kinds=tuple(options.kind) or tuple(Kind),
        worker=options.worker,
        fsync=options.fsync,
        patience=options.patience,
    )
    if not Power.can_be_cut():
        _say("There is no C compiler `cc`: Valkey is killed, its power is never cut.")
    _say(f"Starting a stack on {state}; {plan.kills} faults from seed {plan.seed} follow.")
    number = 0

    def tell(felt: Felt) -> None:
        nonlocal number
        number += 1
        _say(report.line(number, felt))

    outcome = asyncio.run(run(plan, tell))
    _say(report.table(outcome))
    clean = report.is_clean(outcome)
    if clean:
        shutil.rmtree(state)
    else:
        _say(report.wrongs(outcome))
        _say(f"{state} keeps the logs.")
    _say(report.json_line(outcome))
    return 0 if clean else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--tenants", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="stream workers")
    parser.add_argument("--only", default="", help="the victims, separated by commas")
    parser.add_argument("--kind", type=Kind, choices=list(Kind), action="append", default=[])
    parser.add_argument("--worker", default="", help="a module in place of the stream worker")
    parser.add_argument("--fsync", default="always", help="Valkey's appendfsync")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
