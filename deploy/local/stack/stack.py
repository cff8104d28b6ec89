"""The local stack from Python.

    with Stack(state=folder, port=8090, progress=print) as stack:
        print(stack.url, stack.pids)

Whatever ends the program that started it ends the stack too, unless it was told to stay.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Any, Self

import psutil

from deploy.local.problems import Problem
from deploy.local.stack import orphan_reaper
from deploy.local.stack.options import Gateway
from deploy.local.stack.state import ROOT, SETTINGS_FILE, STACK_FILE, State

_STOP_SECONDS = 40
"""How long all processes together may take to stop before they are killed."""


class Stack:
    """One stack on one state folder; `async with` works as well.

    Args:
        state: its folder; PROOFGRAPH_STATE or `.proofgraph` if not given.
        port: the public one; PROOFGRAPH_PORT or 8080 if not given.
        gateway: `router` or `embedded`; PROOFGRAPH_GATEWAY, or what there is, if not given.
        split: one process for each subgraph; SPLIT=1 if not given.
        only: these processes alone, and what they need.
        workers: how many stream workers; WORKERS or 1 if not given.
        commands: other commands for some processes, by name; see `Arrangement.instead`.
        progress: is told of each process that is ready.
    """

    def __init__(
        self,
        *,
        state: Path | None = None,
        port: int | None = None,
        gateway: Gateway | None = None,
        split: bool | None = None,
        only: Sequence[str] = (),
        workers: int | None = None,
        commands: Mapping[str, Sequence[str]] | None = None,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._state = State(state or default_state())
        self._port = port or _default_port()
        self._gateway = gateway or _default_gateway()
        self._split = os.environ.get("SPLIT") == "1" if split is None else split
        self._only = tuple(only)
        self._workers = workers or _default_workers()
        self._commands = commands or {}
        self._progress = progress
        self._supervisor: subprocess.Popen[str] | None = None

    @property
    def state(self) -> Path:
        return self._state.folder

    @property
    def about(self) -> dict[str, Any]:
        """What the stack file says, as of now.

        Raises:
            Problem: nothing runs here.
        """
        about: dict[str, Any] | None = self._state.read(STACK_FILE)
        if about is None:
            raise Problem(f"Nothing runs on {self.state}: `make up` starts it.")
        return about

    @property
    def url(self) -> str:
        """The public address."""
        return str(self.about["urls"]["public"])

    @property
    def stores(self) -> dict[str, str]:
        """Addresses of postgres (as the owner of the tables), redis and clickhouse."""
        return dict(self.about["stores"])

    @property
    def pids(self) -> dict[str, int]:
        """Of each process, as of now: a restart changes them."""
        return dict(self.about["processes"])

    @property
    def env(self) -> dict[str, str]:
        """Every setting, as `kernel/config.py` reads them."""
        settings: dict[str, str] | None = self._state.read(SETTINGS_FILE)
        if settings is None:
            raise Problem(f"Nothing has run on {self.state} yet: `make up` starts it.")
        return settings

    @property
    def is_running(self) -> bool:
        return self._state.holder() is not None

    @property
    def is_ours(self) -> bool:
        """Whether we started it; one that ran already is left running."""
        return self._supervisor is not None

    def start(self, *, stay: bool = False) -> None:
        """Start everything and wait until it is ready; nothing to do if it runs already.

        Args:
            stay: run on when we end.

        Raises:
            Problem: it could not be started; nothing is left running then.
        """
        if self.is_running:
            if not (self._state.read(STACK_FILE) or {}).get("ready"):
                raise Problem(f"A stack on {self.state} is just being started or stopped.")
            return
        with self._state.log("supervisor").open("a") as log:
            supervisor = subprocess.Popen(
                self._command(stay=stay),
                cwd=ROOT,
                stdin=subprocess.DEVNULL if stay else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._supervisor = supervisor
        try:
            with supervisor.stdout or nullcontext() as told:
                self._follow(told)
        except BaseException:  # an interrupt too: nothing may stay
            self.stop()
            raise

    def wait(self) -> int:
        """Wait until what we started ends by itself; its exit code."""
        return self._supervisor.wait() if self._supervisor is not None else 0

    def stop(self) -> None:
        """Stop what we started; returns when it has gone."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        supervisor.terminate()
        try:
            supervisor.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
            orphan_reaper.sweep(str(self.state))
        if supervisor.stdin is not None:
            supervisor.stdin.close()

    def stop_running(self) -> bool:
        """Stop whoever runs here, and sweep up after one that was killed; False if nobody did."""
        pid = self._state.holder()
        if pid is not None:
            with suppress(psutil.NoSuchProcess):
                supervisor = psutil.Process(pid)
                supervisor.terminate()
                try:
                    supervisor.wait(_STOP_SECONDS)
                except psutil.TimeoutExpired:
                    supervisor.kill()
        left = orphan_reaper.sweep(str(self.state))
        self._state.forget(STACK_FILE)
        return pid is not None or bool(left)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def _command(self, *, stay: bool) -> list[str]:
        command = [sys.executable, "-m", "deploy.local.stack.supervise"]
        command += ["--state", str(self.state), "--port", str(self._port)]
        command += ["--gateway", self._gateway] if self._gateway else []
        command += ["--split"] if self._split else []
        command += ["--only", ",".join(self._only)] if self._only else []
        command += ["--workers", str(self._workers)]
        command += ["--commands", json.dumps(self._commands)] if self._commands else []
        return command if stay else [*command, "--while-stdin"]

    def _follow(self, output: IO[str] | None) -> None:
        for line in output or ():
            told = json.loads(line)
            if "failed" in told:
                raise Problem(told["failed"], exit_code=told["exit_code"])
            if "ready" in told:
                return
            self._progress(told["progress"])
        log = self._state.logs / "supervisor.log"
        raise Problem(f"The supervisor ended; {log} may say why.", exit_code=1)


def default_state() -> Path:
    """PROOFGRAPH_STATE, or `.proofgraph` in the checkout."""
    return Path(os.environ.get("PROOFGRAPH_STATE") or ROOT / ".proofgraph")


def _default_port() -> int:
    given = os.environ.get("PROOFGRAPH_PORT") or "8080"
    if not given.isdigit() or not 0 < int(given) < 65536:
        raise Problem(f"PROOFGRAPH_PORT is {given}: it must be a number from 1 to 65535.")
    return int(given)


def _default_workers() -> int:
    given = os.environ.get("WORKERS") or "1"
    if not given.isdigit() or not 0 < int(given) < 100:
        raise Problem(f"WORKERS is {given}: it must be a number from 1 to 99.")
    return int(given)


def _default_gateway() -> Gateway | None:
    match os.environ.get("PROOFGRAPH_GATEWAY"):
        case "router":
            return "router"
        case "embedded":
            return "embedded"
        case None | "":
            return None
        case other:
            raise Problem(f"PROOFGRAPH_GATEWAY is {other}: it must be router or embedded.")
