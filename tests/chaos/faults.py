"""Draws faults from a seed and injects them into the processes of a stack."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import NamedTuple

import psutil

from deploy.local.stack.stack import Stack
from tests.chaos.power import PowerSimulator

_READY_SECONDS = 30.0
"""Time limit until a process is ready again after its previous fault."""

_POWER_CUT_SECONDS = 3.0
"""Time limit until Valkey's next sync; a server that does not sync is killed then."""

_POLL_SECONDS = 0.05

_CHILD_SHARE = 0.3
"""Share of the kills that hit a child process, where a process has children."""

_WITH_CHILDREN = ("postgres", "celery")


class FaultKind(StrEnum):
    KILL = "killed"
    PAUSE = "paused"
    RESTART = "restarted"
    POWER_CUT = "power cut"


_KINDS = (
    *(FaultKind.KILL, FaultKind.KILL, FaultKind.KILL),
    *(FaultKind.PAUSE, FaultKind.PAUSE),
    FaultKind.RESTART,
)
_VALKEY_KINDS = (
    FaultKind.KILL,
    *(FaultKind.POWER_CUT, FaultKind.POWER_CUT, FaultKind.POWER_CUT),
    *(FaultKind.PAUSE, FaultKind.RESTART),
)
"""Kinds of fault; a kind that is listed more often is drawn more often."""


class Fault(NamedTuple):
    """One fault.

    Attributes:
        seconds: length of a pause. Before a power cut the stream workers pause for a quarter of it.
        child: random number from 0 to 1 that selects the process to kill: a child if it is below
            `_CHILD_SHARE`, else the process itself.
    """

    process: str
    kind: FaultKind
    seconds: float
    child: float


def draw_faults(
    processes: Sequence[str], rng: random.Random, *, kinds: Sequence[FaultKind] = tuple(FaultKind)
) -> Iterator[Fault]:
    """An endless series of faults; every process has one before any process has another."""
    while True:
        shuffled = sorted(processes)
        rng.shuffle(shuffled)
        for process in shuffled:
            weighted = _VALKEY_KINDS if process == "valkey" else _KINDS
            kind = rng.choice([kind for kind in weighted if kind in kinds] or list(kinds))
            yield Fault(process, kind, rng.uniform(0.5, 4.0), rng.random())


class FaultInjector:
    """Injects faults into the processes of a stack.

    Args:
        power: simulates power cuts of Valkey; None: Valkey is killed instead.
    """

    def __init__(self, stack: Stack, power: PowerSimulator | None) -> None:
        self._stack = stack
        self._power = power

    async def inject(self, fault: Fault) -> float:
        """Inject a fault; returns the monotonic time of the kill, or of the end of the pause."""
        pid = await self._wait_until_ready(fault.process)
        match fault.kind:
            case FaultKind.PAUSE:
                with _paused([pid]):
                    await asyncio.sleep(fault.seconds)
            case FaultKind.RESTART:
                # On SIGTERM, PostgreSQL would wait until all clients disconnect.
                os.kill(pid, signal.SIGINT if fault.process == "postgres" else signal.SIGTERM)
            case FaultKind.POWER_CUT if self._power:
                await self._cut_power(self._power, pid, fault.seconds / 4)
            case _:
                _kill(fault, pid)
        return time.monotonic()

    async def _cut_power(self, power: PowerSimulator, pid: int, seconds: float) -> None:
        """Cut Valkey's power while the stream workers pause.

        The entries that no worker has read exist only in Valkey's append-only file at that time.
        """
        workers = [pid for name, pid in self._stack.pids.items() if name.startswith("stream-w")]
        with _paused(workers):
            await asyncio.sleep(seconds)
            power.cut_at_next_sync()
            try:
                async with asyncio.timeout(_POWER_CUT_SECONDS):
                    await _poll_until(lambda: self._stack.pids.get("valkey") != pid)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)

    async def _wait_until_ready(self, process: str) -> int:
        """The pid of a process, once it is ready after its previous fault."""
        async with asyncio.timeout(_READY_SECONDS):
            await _poll_until(lambda: bool(self._stack.about["readiness"].get(process)))
        return self._stack.pids[process]


async def _poll_until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(_POLL_SECONDS)


def _kill(fault: Fault, pid: int) -> None:
    target = pid
    if fault.process in _WITH_CHILDREN and fault.child < _CHILD_SHARE:
        children = sorted(child.pid for child in psutil.Process(pid).children())
        if children:
            target = children[int(fault.child / _CHILD_SHARE * len(children))]
    with suppress(ProcessLookupError):
        os.kill(target, signal.SIGKILL)


@contextmanager
def _paused(pids: Sequence[int]) -> Iterator[None]:
    """Suspend processes and their descendants during the block."""
    suspended: list[psutil.Process] = []
    try:
        for pid in pids:
            parent = psutil.Process(pid)
            parent.suspend()
            suspended.append(parent)
            for child in parent.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.suspend()
                    suspended.append(child)
        yield
    finally:
        for process in suspended:
            with suppress(psutil.NoSuchProcess):
                process.resume()
