"""Keeps one process alive: starts it, waits until it is ready, starts it again when it dies."""

import asyncio
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from deploy.local.problems import Problem
from deploy.local.stack.process import Process
from deploy.local.stack.state import State

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_HEALTHY_SECONDS = 10.0
"""A process that lived this long died by accident; its next restart is quick again."""

_LINES_SHOWN = 20


class ProcessRunner:
    """One process of the stack.

    Args:
        inherited: what every process is told.
        changed: called when the process has another pid, or becomes or stops being ready.
    """

    def __init__(
        self,
        process: Process,
        state: State,
        *,
        inherited: Mapping[str, str],
        changed: Callable[[], None],
    ) -> None:
        self.process = process
        self.ready = asyncio.Event()  # set for good: others wait for the first time alone
        self.is_ready_now = False
        self._log = state.log(process.name)
        self._environment = {**inherited, **process.environment}
        self._changed = changed
        self._running: asyncio.subprocess.Process | None = None
        self._log_start = 0
        self._started = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        running = self._running
        return running.pid if running is not None and running.returncode is None else None

    @property
    def phase(self) -> str:
        """`starting`, `ready`, or `stopped`: it has ended and is about to be started again."""
        if self.is_ready_now:
            return "ready"
        return "stopped" if self.pid is None and self.ready.is_set() else "starting"

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            Problem: it ended, or was not ready in time; says what it wrote last.
        """
        if self.process.prepare is not None:
            await self.process.prepare()
        await self._start()
        self.ready.set()

    async def keep(self) -> None:
        """Start it again whenever it ends; for ever, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            assert self._running is not None  # noqa: S101
            code = await self._running.wait()
            self._kill_group()
            self._tell(ready=False)
            lived = time.monotonic() - self._started
            if lived > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE
            log.warning(
                "%s ended (%s) after %.0f s; again in %.1f s",
                self.process.name,
                _describe(code),
                lived,
                pause,
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                await self._start()
                log.info("%s is back, pid %s", self.process.name, self.pid)
            except Problem as problem:
                log.error("%s", problem)
                await self._end()
            except Exception:  # whatever it was, giving up would be worse
                log.exception("%s could not be started", self.process.name)
                await self._end()

    async def stop(self) -> None:
        """Ask it to stop, then insist; its whole group with it."""
        with suppress(ProcessLookupError):
            if self.pid is not None:
                os.kill(self.pid, self.process.stop_signal)
        await self._end(grace=self.process.grace_seconds)

    async def _end(self, *, grace: float = 0) -> None:
        if self._running is None:
            return
        try:
            async with asyncio.timeout(grace):
                await self._running.wait()
        except TimeoutError:
            if grace:
                log.warning("%s did not stop in %.0f s; killed", self.process.name, grace)
        self._kill_group()
        await self._running.wait()

    def _kill_group(self) -> None:
        """What is left of the process's group, be it children it did not take along."""
        with suppress(ProcessLookupError, PermissionError):
            if self._running is not None:
                os.killpg(self._running.pid, signal.SIGKILL)

    async def _start(self) -> None:
        await self._spawn()
        self._tell(ready=False)
        try:
            async with asyncio.timeout(self.process.ready_seconds):
                await self._wait_until_ready()
        except TimeoutError as error:
            raise self._failed(f"was not ready after {self.process.ready_seconds:.0f} s") from error
        self._tell(ready=True)

    def _tell(self, *, ready: bool) -> None:
        self.is_ready_now = ready
        self._changed()

    async def _spawn(self) -> None:
        self._started = time.monotonic()
        with self._log.open("ab") as output:
            self._log_start = output.tell()
            process = self.process
            self._running = await asyncio.create_subprocess_exec(
                *_leash(process.orphan_signal),
                *process.command,
                env=self._environment,
                cwd=process.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                pass_fds=process.handles,
                user=process.user,
                group=process.group,
                extra_groups=None if process.user is None else [],
            )

    async def _wait_until_ready(self) -> None:
        assert self._running is not None  # noqa: S101
        while True:
            if self._running.returncode is not None:
                if self.process.once and self._running.returncode == 0:
                    return
                raise self._failed(f"ended ({_describe(self._running.returncode)})")
            if not self.process.once and await self._is_ready():
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _is_ready(self) -> bool:
        if not await self.process.ready():
            return False
        return not self.process.ready_line or self.process.ready_line in self._written()

    def _written(self) -> str:
        """What it has written since it was started."""
        with self._log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def _failed(self, what: str) -> Problem:
        lines = self._written().splitlines()[-_LINES_SHOWN:]
        shown = "\n".join(f"    {line}" for line in lines)
        return Problem(f"{self.process.name} {what}; {self._log}:\n{shown}", exit_code=1)


def _leash(orphan_signal: str) -> list[str]:
    """On Linux the system itself ends a process whose supervisor has gone, however that went."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", orphan_signal, "--"] if setpriv else []


def _describe(code: int) -> str:
    return f"exit {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
