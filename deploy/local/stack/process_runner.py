"""Runs one process: starts it, waits until it is ready, restarts it when it ends."""

import asyncio
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from deploy.local.problems import Problem
from deploy.local.stack.process import NotReady, Process
from deploy.local.stack.state import State

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_HEALTHY_SECONDS = 10.0
"""After a run of this length the back-off starts again at _FIRST_PAUSE."""

_LINES_SHOWN = 20


class ProcessRunner:
    """Runs one process of the stack.

    Args:
        inherited: environment variables that every process gets.
        changed: called when the pid or the readiness changes.
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
        self.ready = asyncio.Event()  # never cleared: dependents wait for the first start alone
        self.is_ready_now = False
        self._log = state.log(process.name)
        self._environment = {**inherited, **process.environment}
        self._changed = changed
        self._running: asyncio.subprocess.Process | None = None
        self._log_start = 0
        self._started = 0.0
        self._not_ready = ""

    @property
    def pid(self) -> int | None:
        """The pid while the process runs."""
        running = self._running
        return running.pid if running is not None and running.returncode is None else None

    @property
    def phase(self) -> str:
        """`starting`, `ready`, or `stopped`: it has ended and is about to be started again."""
        if self.is_ready_now:
            return "ready"
        return "stopped" if self.pid is None and self.ready.is_set() else "starting"

    async def start(self) -> None:
        """Start the process and wait until it is ready.

        Raises:
            Problem: the process ended or was not ready in time; has its last lines of output.
        """
        if self.process.prepare is not None:
            await self.process.prepare()
        await self._start()
        self.ready.set()

    async def restart_forever(self) -> None:
        """Restart the process whenever it ends, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            assert self._running is not None  # noqa: S101
            code = await self._running.wait()
            self._kill_group()
            self._set_ready(False)
            lived = time.monotonic() - self._started
            if lived > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE
            log.warning(
                "process ended name=%s reason=%r lived=%.0fs restart_in=%.1fs",
                self.process.name,
                _describe(code),
                lived,
                pause,
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                await self._start()
                log.info("process restarted name=%s pid=%s", self.process.name, self.pid)
            except Problem as problem:
                log.error("process not restarted name=%s: %s", self.process.name, problem)
                await self._end()
            except Exception:  # a runner that gives up would leave the stack without the process
                log.exception("process not restarted name=%s", self.process.name)
                await self._end()

    async def stop(self) -> None:
        """Send the stop signal, then kill the whole process group."""
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
                log.warning("process killed name=%s grace=%.0fs", self.process.name, grace)
        self._kill_group()
        await self._running.wait()

    def _kill_group(self) -> None:
        """Kill what is left of the process group, such as children that outlived their parent."""
        with suppress(ProcessLookupError, PermissionError):
            if self._running is not None:
                os.killpg(self._running.pid, signal.SIGKILL)

    async def _start(self) -> None:
        await self._spawn()
        self._set_ready(False)
        seconds = self.process.ready_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._wait_until_ready()
        except TimeoutError as error:
            reason = f" ({self._not_ready})" if self._not_ready else ""
            raise self._failed(f"was not ready after {seconds:.0f} s{reason}") from error
        self._set_ready(True)

    def _set_ready(self, ready: bool) -> None:
        self.is_ready_now = ready
        self._changed()

    async def _spawn(self) -> None:
        self._started = time.monotonic()
        with self._log.open("ab") as output:
            self._log_start = output.tell()
            process = self.process
            self._running = await asyncio.create_subprocess_exec(
                *_end_with_supervisor(process.orphan_signal),
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
        try:
            await self.process.ready()
        except NotReady as reason:
            self._not_ready = str(reason)
            return False
        if self.process.ready_line in self._output():
            return True
        self._not_ready = f"its log has no “{self.process.ready_line}”"
        return False

    def _output(self) -> str:
        """The output since the last start."""
        with self._log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def _failed(self, what: str) -> Problem:
        lines = self._output().splitlines()[-_LINES_SHOWN:]
        shown = "\n".join(f"    {line}" for line in lines)
        return Problem(f"{self.process.name} {what}; {self._log}:\n{shown}", exit_code=1)


def _end_with_supervisor(orphan_signal: str) -> list[str]:
    """A command prefix that makes the Linux kernel signal the process when the supervisor dies."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", orphan_signal, "--"] if setpriv else []


def _describe(code: int) -> str:
    return f"exit {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
