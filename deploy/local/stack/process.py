"""What a process of the stack is."""

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.stack.state import ROOT

Readiness = Callable[[], Awaitable[bool]]


async def alive() -> bool:
    """Ready as soon as it runs."""
    return True


@dataclass(frozen=True)
class Process:
    """A program, what it is told, what it needs and when it is ready.

    Attributes:
        needs: names of processes that must be ready first; those not in the stack do not count.
        once: it is ready when it has ended well, and is not started again.
        ready_line: a text it writes to its log when ready, asked for after `ready`.
        folder: where it is started.
        orphan_signal: what the system sends it when the supervisor has gone.
        prepare: work to be done before the first start.
        user: whom to run as, where that is not who we are.
        handles: open files it is handed; see postgres.py.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Readiness = alive
    ready_line: str = ""
    needs: tuple[str, ...] = ()
    once: bool = False
    folder: Path = ROOT
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: str = "KILL"
    ready_seconds: float = 60
    grace_seconds: float = 10
    prepare: Callable[[], Awaitable[None]] | None = None
    user: int | None = None
    group: int | None = None
    handles: tuple[int, ...] = ()
