"""An outcome in words, and in one line of JSON."""

import json
import math
from collections import defaultdict

from tests.chaos.run import Felt, Outcome
from tests.chaos.verdict import Verdict

_SHOWN = 10
"""Lines of each kind of fault that are written out."""


def line(number: int, felt: Felt) -> str:
    """A fault, when it is over."""
    slowest = max(felt.paths, key=lambda path: felt.paths[path])
    kind = felt.fault.kind
    what = f"{kind} {felt.fault.seconds:.1f} s" if kind == "paused" else str(kind)
    return f"{number:4}  {felt.fault.process:16}{what:16}{felt.recovery:6.1f} s  ({slowest})"


def table(outcome: Outcome) -> str:
    """The longest recovery of each process."""
    recoveries: dict[str, list[float]] = defaultdict(list)
    for felt in outcome.felt:
        recoveries[felt.fault.process].append(felt.recovery)
    rows = [f"{'process':16}{'faults':>7}{'longest recovery':>19}"]
    for name, found in sorted(recoveries.items(), key=lambda item: -max(item[1])):
        rows.append(f"{name:16}{len(found):7}{max(found):17.1f} s")
    return "\n".join([*rows, *_slowest(outcome)])


def _slowest(outcome: Outcome) -> list[str]:
    """What waited longest for its effects, and for which."""
    done = [it for it in outcome.traces.acknowledged if it.took is not None]
    if not done:
        return []
    slowest = max(done, key=lambda it: it.took or 0.0)
    since = slowest.acknowledged or 0.0
    effects = {"PostgreSQL": slowest.stored, "ClickHouse": slowest.counted}
    effects |= {"the follower": slowest.claimed} if slowest.claimed else {}
    told = ", ".join(f"{where} after {at - since:.1f} s" for where, at in effects.items() if at)
    return [f"slowest of all: {slowest.metric} {slowest.key}, {told}"]


def figures(outcome: Outcome) -> dict[str, object]:
    """What the run showed. Times that never came are null."""
    verdict, traces = outcome.verdict, outcome.traces
    took = [it.took for it in traces.acknowledged if it.took is not None]
    unanswered = sum(1 for trace in traces.all if trace.acknowledged is None)
    return {
        "kills": len(outcome.felt),
        "seed": outcome.plan.seed,
        "acknowledged": sum(1 for _ in traces.acknowledged),
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "misordered": len(verdict.misordered),
        "miscounted": len(verdict.miscounted),
        "unacknowledged": unanswered,
        "refused": len(traces.refused),
        "late": len(outcome.late),
        "power_cuts": len(outcome.cuts),
        "bytes_cut": sum(outcome.cuts),
        "connections": outcome.connections,
        "longest_recovery_s": _seconds([felt.recovery for felt in outcome.felt]),
        "slowest_effect_s": _seconds(took),
        "seconds": round(outcome.seconds, 1),
    }


def is_clean(outcome: Outcome) -> bool:
    """Whether nothing is wrong."""
    found = figures(outcome)
    wrong = ("lost", "doubled", "misordered", "miscounted", "unacknowledged", "refused", "late")
    recovered = all(math.isfinite(felt.recovery) for felt in outcome.felt)
    return recovered and not any(found[name] for name in wrong)


def wrongs(outcome: Outcome) -> str:
    """What is wrong, some of each kind."""
    lines = [f"refused: {answer}" for answer in outcome.traces.refused[:_SHOWN]]
    lines += [f"late: {trace}" for trace in outcome.late[:_SHOWN]]
    for kind in Verdict.__dataclass_fields__:
        lines += [f"{kind}: {what}" for what in getattr(outcome.verdict, kind)[:_SHOWN]]
    return "\n".join(lines)


def json_line(outcome: Outcome) -> str:
    return json.dumps(figures(outcome))


def _seconds(found: list[float]) -> float | None:
    longest = max(found, default=0.0)
    return round(longest, 2) if math.isfinite(longest) else None
