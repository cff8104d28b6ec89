"""`make bench`: runs every bench briefly and writes `docs/performance.md`.

A bench is a module of this folder whose command takes `--brief` and whose last line of output is a
JSON object with `figures`, see `report.py`. A bench that fails is named in the table, and the exit
code is 1.
"""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.report import machine, print_line

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "performance.md"

BENCH_SECONDS = 600
"""Time limit of one bench."""

COLUMNS = ("figure", "value", "unit", "cpu_us", "peer", "ratio", "bound")
TITLES = ("figure", "value", "unit", "µs of CPU", "peer", "ratio", "bound")

_INTRODUCTION = """# Performance

Written by `make bench`, which runs every bench briefly. The peer and the bound of a figure were
measured in the same run on the same cores, so compare with them: figures move between machines, and
with other work on the machine. `make bench-<name>` measures one bench longer;
[benchmarks.md](benchmarks.md) says what each measures.
"""


class Outcome(NamedTuple):
    """The figures of one bench, or why there are none."""

    name: str
    figures: list[dict[str, Any]]
    failure: str | None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="*", default=(), help="names of benches")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    names = [name for name in benches() if not options.only or name in options.only]
    outcomes = []
    for name in names:
        print_line(f"{name} …")
        outcomes.append(run(name))
        print_line(outcomes[-1].failure or f"{name}: {len(outcomes[-1].figures)} figures")
    options.output.write_text(render(outcomes, machine(), datetime.now(UTC)))
    print_line(f"Wrote {options.output}")
    sys.exit(any(outcome.failure for outcome in outcomes))


def benches() -> list[str]:
    """The modules whose command takes `--brief`."""
    modules = {path.stem for path in FOLDER.glob("[!_]*.py")}
    packages = {path.parent.name for path in FOLDER.glob("*/__main__.py")}
    return [name for name in sorted(modules | packages) if "--brief" in _output(name, "--help")]


def run(name: str) -> Outcome:
    """Run one bench briefly."""
    try:
        output = _output(name, "--brief")
        figures = json.loads(output.strip().splitlines()[-1])["figures"]
    except subprocess.TimeoutExpired:
        return Outcome(name, [], f"{name} did not end within {BENCH_SECONDS} s")
    except (IndexError, KeyError, TypeError, ValueError):
        return Outcome(name, [], f"{name} failed: run `python -m tests.bench.{name} --brief`")
    return Outcome(name, figures, None)


def render(outcomes: list[Outcome], on: dict[str, str], at: datetime) -> str:
    """The page: the machine, and a table of all figures."""
    lines = [_INTRODUCTION, f"Measured {at:%Y-%m-%d %H:%M} UTC:", ""]
    lines += [f"- {name}: {value}" for name, value in on.items()]
    lines += ["", _row(["bench", *TITLES]), _row(["---"] * (len(TITLES) + 1))]
    for outcome in outcomes:
        for figure in outcome.figures:
            lines.append(_row([outcome.name, *(_cell(figure.get(it)) for it in COLUMNS)]))
    failures = [f"- {outcome.failure}" for outcome in outcomes if outcome.failure]
    return "\n".join([*lines, *(["", "Without figures:", "", *failures] if failures else []), ""])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:g}"
    return str(value).replace("|", "\\|")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _output(name: str, option: str) -> str:
    """What a bench's command writes; its errors go to our standard error."""
    command = [sys.executable, "-m", f"tests.bench.{name}", option]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=BENCH_SECONDS, check=False
    )
    return done.stdout if done.returncode == 0 else ""


if __name__ == "__main__":
    main()
