"""All processes of a stack: started as soon as what they need is ready, stopped the other way."""

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
    """Runs processes on a state folder, whose lock the caller holds.

    Args:
        about: what the stack file tells beside the processes.
        inherited: what every process is told.
        report: is told of every process that is ready.
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
        self._mark = str(state.folder)
        self._ready = False
        marked = {**inherited, orphan_reaper.MARK: self._mark}
        self._keepers = {
            process.name: ProcessRunner(process, state, inherited=marked, changed=self._write)
            for process in processes
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, keep it alive until told to stop, stop everything.

        Raises:
            Problem: a process could not be started; nothing is left running then.
        """
        if left := await asyncio.to_thread(orphan_reaper.sweep, self._mark):
            log.warning("ended what an earlier stack left behind: %s", ", ".join(left))
        self._tasks.append(asyncio.create_task(self._keep_sentinel()))
        try:
            if await self._start(stop):
                self._ready = True
                self._write()
                self._report("ready")
                await stop.wait()
        finally:
            await self._stop()

    async def _start(self, stop: asyncio.Event) -> bool:
        """Whether all were started; False when told to stop meanwhile."""
        starts = [asyncio.create_task(self._start_one(k)) for k in self._keepers.values()]
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

    async def _start_one(self, keeper: ProcessRunner) -> None:
        for name in keeper.process.needs:
            if name in self._keepers:
                await self._keepers[name].ready.wait()
        started = time.monotonic()
        await keeper.start()
        self._report(f"{keeper.process.name} {time.monotonic() - started:.1f} s")
        if not keeper.process.once:
            self._tasks.append(asyncio.create_task(keeper.keep()))

    async def _stop(self) -> None:
        self._state.forget(STACK_FILE)
        self._ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        stopped = {name: asyncio.Event() for name in self._keepers}

        async def stop_one(keeper: ProcessRunner) -> None:
            for name, other in self._keepers.items():
                if keeper.process.name in other.process.needs:
                    await stopped[name].wait()
            await keeper.stop()
            stopped[keeper.process.name].set()

        await asyncio.gather(*(stop_one(keeper) for keeper in self._keepers.values()))
        await asyncio.to_thread(orphan_reaper.sweep, self._mark)
        self._state.forget(STACK_FILE)

    async def _keep_sentinel(self) -> None:
        command = [sys.executable, "-m", orphan_reaper.__name__, self._mark]
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
        keepers = [k for k in self._keepers.values() if not k.process.once]
        running = {k.process.name: k for k in keepers if k.pid is not None}
        pids = {name: keeper.pid for name, keeper in running.items()}
        self._state.write(
            STACK_FILE,
            {
                **self._about,
                "ready": self._ready,
                "processes": pids,
                "parts": {k.process.name: k.phase for k in keepers},
                "readiness": {name: keeper.is_ready_now for name, keeper in running.items()},
            },
        )
        if demo := self._state.read(DEMO_FILE):
            self._state.write(DEMO_FILE, {**demo, "processes": pids})
