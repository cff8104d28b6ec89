"""What a process of the stack is: a program, its environment, what it needs, when it is ready."""

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.stack.state import ROOT


class NotReady(Exception):
    """A process is not ready yet; the message says why."""


ReadinessCheck = Callable[[], Awaitable[None]]
"""Returns when the process is ready; raises NotReady otherwise."""


async def no_check() -> None:
    """Every running process passes this check."""


@dataclass(frozen=True)
class Process:
    """A program and how to run it.

    Attributes:
        needs: names of the processes that must be ready first; names not in the stack are ignored.
        once: the process is ready when it has exited with 0, and is not started again.
        ready: the readiness check.
        ready_line: a text that the log must contain as well.
        folder: the working directory.
        orphan_signal: the signal that the kernel sends to the process when the supervisor dies.
        prepare: work to do before the first start.
        user: the user to run as; None for the current one.
        handles: open file descriptors that the process inherits; see postgres.py.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: ReadinessCheck = no_check
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
