"""Formats the outcome of a run as text and as one line of JSON."""

import json
import math
from collections import defaultdict

from tests.chaos.run import Impact, Outcome
from tests.chaos.verification import Findings

_SHOWN = 10
"""Number of problems of each kind that are printed."""


def impact_line(number: int, impact: Impact) -> str:
    """One line about a fault: process, kind, recovery time, and the path that recovered last."""
    slowest = max(impact.paths, key=lambda path: impact.paths[path])
    kind = impact.fault.kind
    what = f"{kind} {impact.fault.seconds:.1f} s" if kind == "paused" else str(kind)
    return f"{number:4}  {impact.fault.process:16}{what:16}{impact.recovery:6.1f} s  ({slowest})"


def table(outcome: Outcome) -> str:
    """The longest recovery of each process, and the event with the slowest effects."""
    recoveries: dict[str, list[float]] = defaultdict(list)
    for impact in outcome.impacts:
        recoveries[impact.fault.process].append(impact.recovery)
    rows = [f"{'process':16}{'faults':>7}{'longest recovery':>19}"]
    for name, found in sorted(recoveries.items(), key=lambda item: -max(item[1])):
        rows.append(f"{name:16}{len(found):7}{max(found):17.1f} s")
    return "\n".join([*rows, *_slowest_event(outcome)])


def _slowest_event(outcome: Outcome) -> list[str]:
    """A line about the event whose effects took longest; none if no event is complete."""
    complete = [it for it in outcome.sent.acknowledged if it.effect_seconds is not None]
    if not complete:
        return []
    slowest = max(complete, key=lambda it: it.effect_seconds or 0.0)
    since = slowest.acknowledged_at or 0.0
    effects = {"PostgreSQL": slowest.stored_at, "ClickHouse": slowest.counted_at}
    effects |= {"subscriber": slowest.claimed_at} if slowest.claimed_at else {}
    delays = ", ".join(f"{name} after {at - since:.1f} s" for name, at in effects.items() if at)
    return [f"slowest event: {slowest.metric} {slowest.key}, {delays}"]


def summary(outcome: Outcome) -> dict[str, object]:
    """The figures of a run, as docs/chaos.md describes them."""
    findings, sent = outcome.findings, outcome.sent
    effects = [it.effect_seconds for it in sent.acknowledged if it.effect_seconds is not None]
    unacknowledged = sum(1 for event in sent.all if event.acknowledged_at is None)
    return {
        "faults": len(outcome.impacts),
        "seed": outcome.options.seed,
        "acknowledged": sum(1 for _ in sent.acknowledged),
        "lost": len(findings.lost),
        "duplicated": len(findings.duplicated),
        "out_of_order": len(findings.out_of_order),
        "unequal_counts": len(findings.unequal_counts),
        "unacknowledged": unacknowledged,
        "rejected": len(sent.rejections),
        "incomplete": len(outcome.incomplete),
        "power_cuts": len(outcome.truncations),
        "truncated_bytes": sum(outcome.truncations),
        "subscriber_connections": outcome.connections,
        "longest_recovery_s": _longest([impact.recovery for impact in outcome.impacts]),
        "slowest_effect_s": _longest(effects),
        "duration_s": round(outcome.seconds, 1),
    }


_PROBLEMS = (
    "lost",
    "duplicated",
    "out_of_order",
    "unequal_counts",
    "unacknowledged",
    "rejected",
    "incomplete",
)
"""The figures that are 0 in a successful run."""


def is_successful(outcome: Outcome) -> bool:
    """Whether there are no problems and every fault recovered."""
    figures = summary(outcome)
    recovered = all(math.isfinite(impact.recovery) for impact in outcome.impacts)
    return recovered and not any(figures[name] for name in _PROBLEMS)


def problems(outcome: Outcome) -> str:
    """The first problems of each kind, one a line."""
    lines = [f"rejected: {response}" for response in outcome.sent.rejections[:_SHOWN]]
    lines += [f"incomplete: {event}" for event in outcome.incomplete[:_SHOWN]]
    for kind in Findings.__dataclass_fields__:
        lines += [f"{kind}: {what}" for what in getattr(outcome.findings, kind)[:_SHOWN]]
    return "\n".join(lines)


def json_line(outcome: Outcome) -> str:
    return json.dumps(summary(outcome))


def _longest(seconds: list[float]) -> float | None:
    """The largest of some durations, rounded; None if one is infinite."""
    longest = max(seconds, default=0.0)
    return round(longest, 2) if math.isfinite(longest) else None
