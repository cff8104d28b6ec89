"""What is done to the processes, drawn from a seed."""

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
from tests.chaos.power import Power

_BACK_SECONDS = 30.0
_POWER_SECONDS = 3.0
"""How long the next sync is waited for; a server that never syncs is killed then."""

_LOOK_SECONDS = 0.05
_CHILD = 0.3
"""How often it is a child that is killed, where a process has some."""

_WITH_CHILDREN = ("postgres", "celery")


class Kind(StrEnum):
    KILL = "killed"
    PAUSE = "paused"
    RESTART = "restarted"
    POWER = "power cut"


_KINDS = (Kind.KILL, Kind.KILL, Kind.KILL, Kind.PAUSE, Kind.PAUSE, Kind.RESTART)
_KINDS_OF_VALKEY = (Kind.KILL, Kind.POWER, Kind.POWER, Kind.POWER, Kind.PAUSE, Kind.RESTART)


class Fault(NamedTuple):
    """One fault; `seconds` is a pause's length, or how long the workers pause before a power cut.

    `child` picks a child process: below `_CHILD` one of them is killed, else the process itself.
    """

    process: str
    kind: Kind
    seconds: float
    child: float


def draw(
    processes: Sequence[str], dice: random.Random, *, kinds: Sequence[Kind] = tuple(Kind)
) -> Iterator[Fault]:
    """Faults without an end; every process has its turn before one has a second."""
    while True:
        turns = sorted(processes)
        dice.shuffle(turns)
        for process in turns:
            wanted = _KINDS_OF_VALKEY if process == "valkey" else _KINDS
            kind = dice.choice([kind for kind in wanted if kind in kinds] or list(kinds))
            yield Fault(process, kind, dice.uniform(0.5, 4.0), dice.random())


class Hand:
    """Does it to the processes of a stack.

    Args:
        power: of Valkey, where it can be cut.
    """

    def __init__(self, stack: Stack, power: Power | None) -> None:
        self._stack = stack
        self._power = power

    async def do(self, fault: Fault) -> float:
        """Do it; returns when it was over: the kill's moment, the end of a pause."""
        pid = await self._ready(fault.process)
        match fault.kind:
            case Kind.PAUSE:
                with _paused([pid]):
                    await asyncio.sleep(fault.seconds)
            case Kind.RESTART:
                # PostgreSQL waits for its sessions on SIGTERM.
                os.kill(pid, signal.SIGINT if fault.process == "postgres" else signal.SIGTERM)
            case Kind.POWER if self._power:
                await self._cut_power(self._power, pid, fault.seconds / 4)
            case _:
                _kill(fault, pid)
        return time.monotonic()

    async def _cut_power(self, power: Power, pid: int, seconds: float) -> None:
        """Behind workers that stand still: what nobody has read yet is in the file alone."""
        workers = [pid for name, pid in self._stack.pids.items() if name.startswith("stream-w")]
        with _paused(workers):
            await asyncio.sleep(seconds)
            power.fail()
            try:
                async with asyncio.timeout(_POWER_SECONDS):
                    await _until(lambda: self._stack.pids.get("valkey") != pid)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)

    async def _ready(self, process: str) -> int:
        """Its pid, once it is back from what was done to it last."""
        async with asyncio.timeout(_BACK_SECONDS):
            await _until(lambda: bool(self._stack.about["readiness"].get(process)))
        return self._stack.pids[process]


async def _until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _kill(fault: Fault, pid: int) -> None:
    victim = pid
    if fault.process in _WITH_CHILDREN and fault.child < _CHILD:
        children = sorted(child.pid for child in psutil.Process(pid).children())
        if children:
            victim = children[int(fault.child / _CHILD * len(children))]
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)


@contextmanager
def _paused(pids: Sequence[int]) -> Iterator[None]:
    stopped: list[psutil.Process] = []
    try:
        for pid in pids:
            parent = psutil.Process(pid)
            parent.suspend()
            stopped.append(parent)
            for child in parent.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.suspend()
                    stopped.append(child)
        yield
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()
