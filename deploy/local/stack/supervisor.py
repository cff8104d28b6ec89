"""Runs all processes of a stack: starts them in order of readiness and stops them in reverse."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from deploy.local.stack import orphan_reaper
from deploy.local.stack.process import Process
from deploy.local.stack.process_runner import ProcessRunner
from deploy.local.stack.state import DEMO_FILE, ROOT, STACK_FILE, State

log = logging.getLogger(__name__)

Report = Callable[[str], None]


class Supervisor:
    """Runs processes on a state folder. The caller holds the folder's lock.

    Args:
        about: what the stack file holds besides the processes.
        inherited: environment variables that every process gets.
        report: called with a line of text for every process that becomes ready.
    """

    def __init__(
        self,
        state: State,
        processes: Iterable[Process],
        *,
        about: Mapping[str, Any],
        inherited: Mapping[str, str],
        report: Report,
    ) -> None:
        self._state = state
        self._about = about
        self._report = report
        self._folder = str(state.folder)
        self._ready = False
        marked = {**inherited, orphan_reaper.STACK_VARIABLE: self._folder}
        self._runners = {
            process.name: ProcessRunner(process, state, inherited=marked, changed=self._write)
            for process in processes
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Start all processes, restart those that end, and stop all once `stop` is set.

        Raises:
            Problem: a process did not start; the others are stopped.
        """
        if left := await asyncio.to_thread(orphan_reaper.end_processes, self._folder):
            log.warning("orphans ended pids=%s", ",".join(left))
        self._tasks.append(asyncio.create_task(self._run_orphan_reaper()))
        try:
            if await self._start(stop):
                self._ready = True
                self._write()
                self._report("ready")
                await stop.wait()
        finally:
            await self._stop()

    async def _start(self, stop: asyncio.Event) -> bool:
        """Whether all processes started; False if `stop` was set meanwhile."""
        starts = [asyncio.create_task(self._start_one(runner)) for runner in self._runners.values()]
        stopped = asyncio.create_task(stop.wait())
        pending: set[asyncio.Task[Any]] = {*starts, stopped}
        try:
            while pending != {stopped} and not stop.is_set():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        return not stop.is_set()

    async def _start_one(self, runner: ProcessRunner) -> None:
        for name in runner.process.needs:
            if name in self._runners:
                await self._runners[name].ready.wait()
        started = time.monotonic()
        await runner.start()
        self._report(f"{runner.process.name} {time.monotonic() - started:.1f} s")
        if not runner.process.once:
            self._tasks.append(asyncio.create_task(runner.restart_forever()))

    async def _stop(self) -> None:
        self._state.delete(STACK_FILE)
        self._ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        stopped = {name: asyncio.Event() for name in self._runners}

        async def stop_one(runner: ProcessRunner) -> None:
            for name, other in self._runners.items():
                if runner.process.name in other.process.needs:
                    await stopped[name].wait()
            await runner.stop()
            stopped[runner.process.name].set()

        await asyncio.gather(*(stop_one(runner) for runner in self._runners.values()))
        await asyncio.to_thread(orphan_reaper.end_processes, self._folder)
        self._state.delete(STACK_FILE)

    async def _run_orphan_reaper(self) -> None:
        command = [sys.executable, "-m", orphan_reaper.__name__, self._folder]
        while True:
            running = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, start_new_session=True
            )
            try:
                await running.wait()
            except asyncio.CancelledError:
                with suppress(ProcessLookupError):
                    running.kill()
                await running.wait()
                raise

    def _write(self) -> None:
        runners = [runner for runner in self._runners.values() if not runner.process.once]
        running = {runner.process.name: runner for runner in runners if runner.pid is not None}
        pids = {name: runner.pid for name, runner in running.items()}
        self._state.write(
            STACK_FILE,
            {
                **self._about,
                "ready": self._ready,
                "processes": pids,
                "parts": {runner.process.name: runner.phase for runner in runners},
                "readiness": {name: runner.is_ready_now for name, runner in running.items()},
            },
        )
        if demo := self._state.read(DEMO_FILE):
            self._state.write(DEMO_FILE, {**demo, "processes": pids})
